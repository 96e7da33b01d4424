#!/bin/sh
# Fetches the programs that read examples of the documentation, into target/checkers: nginx, haproxy, promtool, bird,
# xxd, curl.
#
# Only those that are not installed, and nothing is installed: packages are fetched with what they need and unpacked, so that
# no service is started and no account made. Needs apt-get, and no rights. Exits with 0 only when all of them can be run.
set -eu
cd "$(dirname "$0")/../.."

fail() { echo "tests/documentation/install.sh: $*" >&2; exit 1; }
to="${CARGO_TARGET_DIR:-target}/checkers"
mkdir -p "$to"
to="$(cd "$to" && pwd)"

# The directories are those in which tests/documentation/checker.rs looks.
missing() {
    for program in nginx haproxy promtool bird xxd curl; do
        found=no
        for directory in $(echo "$PATH" | tr : ' ') /usr/sbin /sbin "$to/usr/sbin" "$to/usr/bin"; do
            if [ -x "$directory/$program" ]; then found=yes; fi
        done
        [ "$found" = yes ] || echo "$program"
    done
}

packages="$(missing | sed -e 's/^promtool$/prometheus/' -e 's/^bird$/bird2/')"
if [ -z "$packages" ]; then exit 0; fi
command -v apt-get >/dev/null || fail "install $(missing | tr '\n' ' ')"

# A place of our own for what apt-get writes, so that no rights are needed; the lists are the system's, if there are any.
mkdir -p "$to/archives/partial" "$to/lists/partial"
apt() {
    timeout 240 apt-get -qq -o Debug::NoLocking=true -o Dir::Cache="$to" -o Dir::Cache::archives="$to/archives" \
        -o Dir::State::lists="$to/lists" "$@"
}
apt update || fail "apt-get has no lists of packages"
# shellcheck disable=SC2086
apt install --yes --no-install-recommends --download-only $packages || fail "apt-get could not fetch: $packages"
for package in "$to"/archives/*.deb; do
    dpkg-deb --extract "$package" "$to"
done
rm -r "$to/archives" "$to/lists"
left="$(missing)"
[ -z "$left" ] || fail "still missing: $left"
