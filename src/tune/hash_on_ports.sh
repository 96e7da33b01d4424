# hash_on_ports IF FLOW: spreads the flow over the queues by addresses and ports. ethtool ends with 0 also when a driver
# refuses, so it is asked what it made of it.
hash_on_ports() {
    if ethtool -n "$1" rx-flow-hash "$2" 2>/dev/null | grep -q 'L4 bytes 0'; then
        return
    fi
    ethtool -N "$1" rx-flow-hash "$2" sdfn >/dev/null 2>&1
    if ethtool -n "$1" rx-flow-hash "$2" 2>/dev/null | grep -q 'L4 bytes 0'; then
        printf '%s: %s is hashed on ports\n' "$1" "$2"
    else
        printf '%s: the driver does not hash %s on ports\n' "$1" "$2"
    fi
}
