#!/bin/sh
# Announces this node's address to the routers while the server is ready, and takes it back while it is not: when it
# drains, stalls or is gone. Run it under a supervisor. It ends itself only by a signal, and then takes the address back;
# with 1 if BIRD did not take it back, and the address is still announced.
#
#   announce.sh [URL] [PROTOCOL]
set -u
url="${1:-http://127.0.0.1:8080/readyz}"
protocol="${2:-uproar}"
# Seconds between looks, and how many bad ones in a row take the address back. A drain says so at the first.
every=1
patience=3

bad=$patience
announced=unknown

# announce STATE COMMAND: at every look and not only at changes, as BIRD comes up withdrawn whenever it is restarted, and
# is not asked what it does. The command changes nothing where it was obeyed before.
announce() {
    if ! birdc "$2" "$protocol" >/dev/null; then
        announced=unknown
        echo "$url: birdc $2 $protocol failed" >&2
        return 1
    fi
    [ "$announced" = "$1" ] || echo "$url: $1"
    announced=$1
}

trap 'announce withdrawn disable || exit 1; exit 0' INT TERM
while :; do
    case "$(curl --silent --max-time 1 --output /dev/null --write-out '%{http_code}' "$url")" in
    200) bad=0 ;;
    503) bad=$patience ;;
    *) bad=$((bad + 1)) ;;
    esac
    if [ "$bad" -eq 0 ]; then
        announce announced enable
    elif [ "$bad" -ge "$patience" ]; then
        announce withdrawn disable
    fi
    # In the background, so that a signal is heard at once.
    sleep "$every" &
    wait $!
done
