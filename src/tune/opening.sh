boot=$(cat "$root/proc/sys/kernel/random/boot_id" 2>/dev/null)
mkdir -p "$(dirname "$state")" || exit 1
if [ "$(head -n 1 "$state" 2>/dev/null)" != "# boot $boot" ]; then
    printf '# boot %s\n' "$boot" >"$state" || exit 1
fi

# put FILE VALUE: saves what is in the file, unless an older value is saved, and writes the value.
put() {
    old=$(cat "$root$1") || { failures=1; return; }
    if [ "$(printf '%s' "$old" | tr -s '\t ' ' ')" = "$2" ]; then
        return
    fi
    if ! grep -q "^$1 = " "$state"; then
        printf '%s = %s\n' "$1" "$old" >>"$state" || { failures=1; return; }
    fi
    if printf '%s\n' "$2" >"$root$1"; then
        printf '%s: %s -> %s\n' "$1" "$old" "$2"
    else
        printf '%s: cannot be set to %s\n' "$1" "$2" >&2
        failures=1
    fi
}

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
