#!/bin/sh
# Sets up a network interface for one shard a core: what only ethtool reaches, and then what `uproar tune apply` does.
# Run as root; lasts until the next boot. Says each change, goes on after what a driver refuses, and ends with 1 where
# something is missing or a setting of files failed.
#
#     tuning/nic.sh [--dry-run] [--profile PROFILE] [--mode MODE] [--queues N] [--stop-irqbalance] IF
#
# 1. Queues: N pairs, unless given as many as processors or as the device has (ethtool -L). Only in mode mq.
# 2. With several queues: hash of UDP flows on addresses and ports, so that taps of one proxy spread over all (ethtool -N).
# 3. irqbalance would undo step 4 within seconds: with --stop-irqbalance it is stopped; without, one that runs is a failure.
# 4. uproar tune apply --profile PROFILE --interface IF --irq-mode MODE: edge, unless another profile is given. Modes:
#      mq                    queue N on processor N; unless given, when there are two queues or more
#      sq_split              on processor 0 and its siblings; the others share the protocol's work (RPS)
#      sq                    on processor 0; the others share the protocol's work (RPS)
#      no_irq_restrictions   wherever the kernel wants; unless given, when there is one queue
#    With sq and sq_split keep the server off those processors: systemd's AllowedCPUs=, or taskset.
#
# Undo: step 4 by `uproar tune revert`; steps 1 and 2 by the commands that they print.
set -u

usage() {
    sed -n '2,20s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

dry_run='' profile=edge mode='' queues='' stop_irqbalance='' interface=''
while [ $# -gt 0 ]; do
    case $1 in
    --dry-run) dry_run=yes ;;
    --stop-irqbalance) stop_irqbalance=yes ;;
    --profile | --mode | --queues)
        [ $# -ge 2 ] || usage
        case $1 in
        --profile) profile=$2 ;;
        --mode) mode=$2 ;;
        --queues) queues=$2 ;;
        esac
        shift
        ;;
    -*) usage ;;
    *)
        [ -z "$interface" ] || usage
        interface=$1
        ;;
    esac
    shift
done
case $mode in '' | mq | sq_split | sq | no_irq_restrictions) ;; *) usage ;; esac
case $queues in *[!0-9]*) usage ;; esac
[ -n "$interface" ] || usage

# shellcheck source=tuning/hash_on_ports.sh
. "$(dirname "$0")/hash_on_ports.sh"

net=/sys/class/net/$interface
failures=0

fail() {
    printf 'error: %s\n' "$*" >&2
    failures=1
}

if [ ! -d "$net" ]; then
    fail "no interface $interface; there are: $(cd /sys/class/net && echo *)"
    exit 1
fi
if [ ! -e "$net/device" ]; then
    printf '%s has no hardware queues: nothing to set\n' "$interface"
    exit 0
fi
if ! command -v uproar >/dev/null; then
    fail "uproar is not in PATH, and sets all but the queues and the hash on ports"
    exit 1
fi

# queues_set: as many pairs as asked for, at most as many as the device has.
queues_set() {
    has=$(ethtool -l "$interface" 2>/dev/null | awk '/^Combined:/ && $2 ~ /^[0-9]+$/ { print $2 }')
    max=$(printf '%s\n' "$has" | head -n 1)
    now=$(printf '%s\n' "$has" | tail -n 1)
    want=${queues:-$(getconf _NPROCESSORS_ONLN)}
    [ -n "$max" ] && [ "$want" -gt "$max" ] && want=$max
    if [ -z "$now" ] || [ "$now" = "$want" ]; then
        return
    fi
    printf 'ethtool -L %s combined %s\n# undo: ethtool -L %s combined %s\n' "$interface" "$want" "$interface" "$now"
    if [ -z "$dry_run" ]; then
        ethtool -L "$interface" combined "$want" || printf '    the driver does not do this\n'
    fi
}

if command -v ethtool >/dev/null; then
    if [ -z "$mode" ] || [ "$mode" = mq ]; then
        queues_set
    fi
else
    fail "ethtool is not installed: queues and the hash on ports stay as they are"
fi

receive_queues=$(find "$net/queues" -maxdepth 1 -name 'rx-*' | wc -l)
# One queue has nothing to spread.
if [ "$receive_queues" -gt 1 ] && command -v ethtool >/dev/null; then
    for flow in udp4 udp6; do
        if [ -n "$dry_run" ]; then
            now=$(hashed_on "$interface" "$flow")
            printf 'ethtool -N %s rx-flow-hash %s sdfn (now %s)\n' "$interface" "$flow" "${now:-not told}"
        else
            hash_on_ports "$interface" "$flow"
        fi
    done
fi
if [ -z "$mode" ]; then
    mode=mq
    [ "$receive_queues" -lt 2 ] && mode=no_irq_restrictions
fi
printf 'mode %s: %s receive queues\n' "$mode" "$receive_queues"

if [ "$mode" != no_irq_restrictions ] && pidof irqbalance >/dev/null; then
    if [ -z "$stop_irqbalance" ]; then
        fail "irqbalance runs and would move the interrupts again: stop it, or give --stop-irqbalance"
    else
        printf 'systemctl stop irqbalance\n# undo: systemctl start irqbalance\n'
        [ -n "$dry_run" ] || systemctl stop irqbalance || fail "irqbalance is not stopped"
    fi
fi

set -- --profile "$profile" --interface "$interface" --irq-mode "$mode"
if [ -n "$dry_run" ]; then
    # It ends with 1 while there are gaps, which is what a dry run is there to show.
    uproar tune check "$@" || :
else
    uproar tune apply "$@" || failures=1
fi
exit "$failures"
