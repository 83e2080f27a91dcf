#!/usr/bin/env bash
# The tables of tests/README.md that say which test holds what: each file they name is there, and each test behind a
# file's name (`file`: this_test, that_test) is one of that file's, or of a file named just before in the same cell.
set -euo pipefail
cd "$GYRE_SOURCE"

exec perl -e '
    use strict;
    my ($bad, $count, $line) = (0, 0, 0);
    sub complain { print "tests/README.md:$line: @_\n"; $bad++ }

    # The tests of a C file, without the test_ that some begin with; of a tour those of whoever includes it.
    my %tests;
    sub tests_of {
        my ($file) = @_;
        return $tests{$file} if $tests{$file};
        open my $in, "<", $file or die "$file: $!";
        local $/;
        my %names = map { $_ => 1, s/^test_//r => 1 } <$in> =~ /^(?:static )?void (\w+)\(void \*\*state\)/gm;
        return $tests{$file} = \%names;
    }
    sub files_of {
        my ($name, @folders) = @_;
        my ($folder, $base) = $name =~ m{^(?:(.*)/)?([^/]+)$};
        @folders = ($folder) if defined $folder;
        return grep { -e } map { ("tests/$_/test_$base.c", "tests/$_/$base.c", "tests/$_/$base.sh",
                                  "tests/$_/fuzz_$base.c", "tests/$_/${_}_$base.c") } @folders;
    }

    my @columns; # where what a column names is
    open my $in, "<", "tests/README.md" or die;
    while (<$in>) {
        $line++;
        @columns = () if /^## /;
        @columns = ([], ["uring"], ["sim"], ["core"]) if /^\| fault /;
        @columns = ([], [], ["core", "core/prim"]) if /^\| libprocess. test /;
        next if !@columns || !/^\| (.*) \|$/ && !/^(\|\|?.*) \|$/;
        my @cells = split / ?\| ?/, $_ =~ s/^\| ?| ?\|\n$//gr, -1;
        for my $column (0 .. $#cells) {
            my @folders = @{$columns[$column] || []} or next;
            my ($cell, $plain, $list, @files) = ($cells[$column], {});
            # Corpora and scenarios have names of their own.
            $cell =~ s/\b(corpus|scenario|swarm:)((,| and)? `\w+`)+//g;
            while ($cell =~ /\G(?:`([^`]+)`|([a-z0-9]\w*\*?)|(.))/g) {
                my ($code, $word, $other) = ($1, $2, $3);
                if (defined $code) {
                    my @new = files_of($code, @folders);
                    @files = () if defined $list;
                    push @files, @new;
                    $list = undef;
                    complain("there is no test file $code") if !@new && $code =~ m{^\w+/\w+$};
                    # Words of a list are tests also without an underscore.
                    $plain = $cell =~ /\G: ((?:\w+\*?, )*\w+\*?)(?=[;.(]|$)/ ? { map { $_ => 1 } split /, /, $1 } : {};
                } elsif (defined $word && ($word =~ /_/ || @files && $plain->{$word} && !grep { /\.sh$/ } @files)) {
                    $list = 1;
                    $count++;
                    my $wanted = $word =~ s/\*$/.*/r;
                    complain("$word is no test of " . (join(", ", @files) || "any file that is named"))
                        unless grep { grep { /^$wanted$/ } keys %{tests_of($_)} } grep { /\.c$/ } @files;
                } elsif (defined $other && $other eq ";") {
                    $list = 1;
                }
            }
        }
    }
    print "$count tests are named, $bad wrongly\n";
    exit($bad || $count < 300);
'
