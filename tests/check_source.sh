#!/bin/sh
# check_source.sh ROOT: C functions that have no bounds, silently misread numbers or run a shell are not used; no tabs, no
# unfinished work.
set -u
cd "$1" || exit 2
failed=0

# say WHAT LINES: report lines that should not be there.
say() {
    [ -z "$2" ] && return
    printf '%s:\n%s\n' "$1" "$2"
    failed=1
}

folders="src include"
[ -d python/native ] && folders="$folders python/native"
sources() { find $folders -name '*.[ch]' -o -name '*.cc'; }

banned='strcpy|strcat|stpcpy|sprintf|vsprintf|gets|atoi|atol|atoll|atof|strtok|scanf|fscanf|alloca|tmpnam|tempnam|mktemp'
banned="$banned|system|popen|rand|srand|strerror_r|asctime|ctime|gmtime|localtime|setjmp|longjmp"
say 'banned functions (see docs/conventions.md)' \
    "$(sources | xargs grep -nE "(^|[^[:alnum:]_>.:])($banned)[[:space:]]*\(" /dev/null)"
say 'sscanf without a width' "$(sources | xargs grep -nE 'sscanf\(.*%(l|ll|z)?[sdux]' /dev/null)"
say 'tabs' "$(sources | xargs grep -nP '\t' /dev/null)"
say 'unfinished work' "$(sources | xargs grep -nE '\b(TODO|FIXME|XXX)\b' /dev/null)"
exit $failed
