#!/usr/bin/env bash
# The code that README.md and core/README.md show is the code of the tutorial, which is compiled and run: every
# ```c block must stand in one of its files, word for word; and what they link to must be there.
set -euo pipefail
cd "$(dirname "$0")/../.."

exec perl -e '
    use strict;
    local $/;
    my ($bad, $count) = (0, 0);
    my @texts = map { open my $f, "<", $_ or die "$_"; <$f> } glob "tests/examples/tutorial/*.[ch]";
    for my $file ("README.md", "core/README.md") {
        open my $in, "<", $file or die; my $readme = <$in>;
        my @blocks = $readme =~ /^```c\n(.*?)^```/gsm;
        $count += @blocks;
        for my $block (@blocks) {
            # A block may join parts of a file that stand apart: each paragraph counts for itself.
            for my $part (split /\n\n+/, $block) {
                $part =~ s/\s+$//;
                next if grep { index($_, $part) >= 0 } @texts;
                print "$file shows code that is not in tests/examples/tutorial:\n$part\n";
                $bad++;
            }
        }
        my ($dir) = $file =~ m{^(.*/)?[^/]*$};
        $dir = "" unless defined $dir;
        for my $link ($readme =~ /\]\(([^)#:]+)\)/g) {
            next if -e "$dir$link";
            print "$file links to what is not there: $link\n";
            $bad++;
        }
    }
    printf "%d blocks of code, %d wrong\n", $count, $bad;
    exit($bad || !$count ? 1 : 0);
'
