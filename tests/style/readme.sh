#!/usr/bin/env bash
# The code that README.md shows is the code of the tutorial, which is compiled and run: every ```c
# block must stand in one of its files, word for word; and what it links to must be there.
set -euo pipefail
cd "$(dirname "$0")/../.."

exec perl -e '
    use strict;
    local $/;
    my $bad = 0;
    open my $in, "<", "README.md" or die; my $readme = <$in>;
    my @texts = map { open my $f, "<", $_ or die "$_"; <$f> } glob "tests/examples/tutorial/*.[ch]";
    my @blocks = $readme =~ /^```c\n(.*?)^```/gsm;
    for my $block (@blocks) {
        # A block may join parts of a file that stand apart: each paragraph counts for itself.
        for my $part (split /\n\n+/, $block) {
            $part =~ s/\s+$//;
            next if grep { index($_, $part) >= 0 } @texts;
            print "README.md shows code that is not in tests/examples/tutorial:\n$part\n";
            $bad++;
        }
    }
    for my $link ($readme =~ /\]\(([^)#:]+)\)/g) {
        next if -e $link;
        print "README.md links to what is not there: $link\n";
        $bad++;
    }
    printf "%d blocks of code, %d wrong\n", scalar @blocks, $bad;
    exit($bad || !@blocks ? 1 : 0);
'
