#!/bin/sh
# check_exports.sh LIBRARY: every symbol that libisthmus.so exports is public, ist_<module>_<verb>, and none is private
# (ist__) or another library's.
set -u
wrong=$(nm -D --defined-only "$1" | awk '$2 != "A" && ($3 !~ /^ist_/ || $3 ~ /^ist__/) { print $3 }')
count=$(nm -D --defined-only "$1" | grep -c ' ist_')
if [ -n "$wrong" ] || [ "$count" -eq 0 ]; then
    printf '%s exports %s symbols of its own, and:\n%s\n' "$1" "$count" "$wrong"
    exit 1
fi
echo "$count symbols"
