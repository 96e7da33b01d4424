#!/bin/sh
# Installs what the tests in a browser need: node modules (web/package-lock.json) and Chromium with a font of emoji.
#
# Says nothing and changes nothing where all of it is there. System packages come by apt-get, and only when this may:
# otherwise it says what to install. Exits with 0 only when the tests can run. The appliance itself needs none of this.
set -eu
cd "$(dirname "$0")"

fail() { echo "web/install.sh: $*" >&2; exit 1; }

browser() {
    if [ -n "${UPROAR_CHROMIUM:-}" ]; then
        [ -x "$UPROAR_CHROMIUM" ] || fail "UPROAR_CHROMIUM is $UPROAR_CHROMIUM, which cannot be run"
        return
    fi
    command -v chromium || command -v chromium-browser || command -v google-chrome
}

install_packages() {
    command -v apt-get >/dev/null || fail "install Chromium, or set UPROAR_CHROMIUM to the path of one"
    [ "$(id -u)" = 0 ] || fail "as root: apt-get install chromium fonts-noto-color-emoji"
    export DEBIAN_FRONTEND=noninteractive
    # Only what waits for others may take too long: whoever stops it while it unpacks leaves packages half installed.
    # Without the lists as they are today, the packages that they name may be gone.
    timeout 60 apt-get -qq update && timeout 240 apt-get -qq install --no-install-recommends --download-only "$@" &&
        apt-get -qq install --no-install-recommends --no-download "$@" ||
        fail "apt-get could not install: $*"
}

command -v node >/dev/null && command -v npm >/dev/null || fail "install node 20.11 or newer, with npm"
is_new="$(node --print 'const [major, minor] = process.versions.node.split("."); major > 20 || (major == 20 && minor >= 11)')"
[ "$is_new" = true ] || fail "node $(node --version) is too old: 20.11 or newer is needed"

browser >/dev/null || install_packages chromium fonts-noto-color-emoji

# npm writes this file last, with what it has installed.
installed=node_modules/.package-lock.json
if ! [ -e "$installed" ] || [ package-lock.json -nt "$installed" ]; then
    # Without a network that is known at once, not after minutes of tries.
    npm ci --prefer-offline --fetch-retries=0 --fetch-timeout=60000 --no-audit --no-fund --loglevel=error
fi
