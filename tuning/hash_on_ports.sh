# Not run by itself: nic.sh and the script of `uproar tune script` have this function.
# shellcheck shell=sh

# hashed_on IF FLOW: the fields that the flow is hashed on, in ethtool's letters.
hashed_on() {
    ethtool -n "$1" rx-flow-hash "$2" 2>/dev/null | awk '
        /^L2DA/ { fields = fields "m" }
        /^VLAN tag/ { fields = fields "v" }
        /^L3 proto/ { fields = fields "t" }
        /^IP SA/ { fields = fields "s" }
        /^IP DA/ { fields = fields "d" }
        /^L4 bytes 0/ { fields = fields "f" }
        /^L4 bytes 2/ { fields = fields "n" }
        END { print fields }'
}

# hash_on_ports IF FLOW: spreads the flow over the queues by addresses and ports, and says how to undo it. ethtool ends
# with 0 also when a driver refuses, so it is asked what it made of it.
hash_on_ports() {
    before=$(hashed_on "$1" "$2")
    case $before in *f*n*) return ;; esac
    ethtool -N "$1" rx-flow-hash "$2" sdfn >/dev/null 2>&1
    case $(hashed_on "$1" "$2") in
    *f*n*) printf '%s: %s is hashed on ports\n# undo: ethtool -N %s rx-flow-hash %s %s\n' "$1" "$2" "$1" "$2" "${before:-sd}" ;;
    *) printf '%s: the driver does not hash %s on ports\n' "$1" "$2" ;;
    esac
}
