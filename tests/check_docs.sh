#!/bin/sh
# check_docs.sh COMMAND CLI_MD: docs/cli.md is what `isthmus help --markdown` prints; the man pages are sound roff where
# there is a man to tell; shells take the completion scripts.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
failed=0

"$1" help --markdown >"$work/cli.md" || exit 1
if ! diff -u "$2" "$work/cli.md"; then
    echo "$2 is stale: isthmus help --markdown >docs/cli.md"
    failed=1
fi

"$1" help --man --output "$work/man" || failed=1
if command -v groff >/dev/null; then
    for page in "$work"/man/*.1; do
        warnings=$(groff -man -ww -b -z "$page" 2>&1)
        [ -n "$warnings" ] && { echo "$warnings"; failed=1; }
    done
fi

for shell in bash zsh fish; do
    "$1" completion $shell >"$work/completion.$shell" || failed=1
    if command -v $shell >/dev/null; then
        $shell -n "$work/completion.$shell" || failed=1
    fi
done
exit $failed
