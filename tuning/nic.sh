#!/bin/sh
# Sets up a network interface for one shard a core. Run as root; lasts until the next boot. Says each change with the old
# value, goes on after what a driver refuses, and ends with 1 then. Needs ethtool for the first two steps.
#
#     tuning/nic.sh [--dry-run] [--mode MODE] [--queues N] [--stop-irqbalance] IF
#
# 1. Queues: N pairs, unless given as many as processors or as the device has (ethtool -L). Only in mode mq.
# 2. Hash of UDP flows on addresses and ports, so that taps of one proxy spread over all queues (ethtool -N).
# 3. Interrupts, by MODE, as Seastar's perftune has them:
#      mq                    queue N on processor N; unless given, when there are two queues or more
#      sq_split              on processor 0 and its siblings; the others share the protocol's work (RPS)
#      sq                    on processor 0; the others share the protocol's work (RPS)
#      no_irq_restrictions   wherever the kernel wants; unless given, when there is one queue
#    With sq and sq_split keep the server off those processors: systemd's AllowedCPUs=, or taskset.
# 4. XPS: each processor sends through a queue of its own.
# 5. Interrupts of busy queues stay off for 20 us (gro_flush_timeout, napi_defer_hard_irqs).
#
# irqbalance would undo step 3 within seconds: with --stop-irqbalance it is stopped; without, one that runs is a failure.
set -u

usage() {
    sed -n '2,20s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

dry_run='' mode='' queues='' stop_irqbalance='' interface=''
while [ $# -gt 0 ]; do
    case $1 in
    --dry-run) dry_run=yes ;;
    --stop-irqbalance) stop_irqbalance=yes ;;
    --mode | --queues)
        [ $# -ge 2 ] || usage
        if [ "$1" = --mode ]; then mode=$2; else queues=$2; fi
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

net=/sys/class/net/$interface
failures=0

fail() {
    printf 'error: %s\n' "$*" >&2
    failures=1
}

# put FILE VALUE: writes it unless it is there already. What this kernel lacks is left alone.
put() {
    old=$(cat "$1" 2>/dev/null) || return 0
    [ "$old" = "$2" ] && return
    printf '%s: %s -> %s\n' "$1" "$old" "$2"
    [ -n "$dry_run" ] && return
    printf '%s\n' "$2" >"$1" || fail "$1 does not take $2"
}

# put_mask FILE MASK: the same, where the kernel may write one mask with more zeros and commas.
put_mask() {
    digits=$(tr -d ',' <"$1" 2>/dev/null | sed 's/^0*//')
    [ "$digits" = "$(printf '%s' "$2" | tr -d ',' | sed 's/^0*//')" ] || put "$1" "$2"
}

# run COMMAND...: what a driver cannot do is said, and is no failure.
run() {
    printf '%s\n' "$*"
    [ -n "$dry_run" ] && return
    "$@" || printf '    the driver does not do this\n'
}

# The numbers of a list as the kernel writes it, 0-3,8, one a line.
numbers() {
    printf '%s\n' "$1" | tr ',' '\n' | while IFS=- read -r first last; do
        seq "$first" "${last:-$first}"
    done
}

# nth NUMBERS N: the one at place N, counted from 0 and round again.
nth() {
    printf '%s\n' "$1" | awk -v n="$2" '{ all[NR - 1] = $0 } END { print all[n % NR] }'
}

# The mask of the processors on standard input: hexadecimal, 32 a group, the highest first.
mask() {
    awk '
        BEGIN { highest = 0 }
        { group = int($1 / 32); words[group] += 2 ^ ($1 % 32); if (group > highest) highest = group }
        END {
            text = sprintf("%x", words[highest])
            for (group = highest - 1; group >= 0; group--) text = text sprintf(",%08x", words[group])
            print text
        }'
}

# The interrupts of the interface, one a line as QUEUE NUMBER, by queue. The names are those that drivers give; without
# a known one every interrupt of the device counts.
interrupts() {
    directory=$net/device/msi_irqs
    [ -d "$directory" ] || directory=$net/device/../msi_irqs
    for path in "$directory"/*; do
        number=${path##*/}
        name=$(awk -v number="$number:" '$1 == number { print $NF }' /proc/interrupts)
        printf '%s %s\n' "$number" "${name:--}"
    done | awk '
        {
            all[NR] = $1
            queue = $2
            if (queue ~ /fdir/ || !sub(/^.*(-TxRx-|-fp-|-Tx-Rx-|mlx4-|mlx5_comp|-input\.|-output\.|mana_q)/, "", queue)) next
            sub(/[^0-9].*$/, "", queue)
            print queue, $1
            known = 1
        }
        END { if (!known) for (at = 1; at <= NR; at++) print at - 1, all[at] }' | sort -n
}

if [ ! -d "$net" ]; then
    fail "no interface $interface; there are: $(cd /sys/class/net && echo *)"
    exit 1
fi
if [ ! -e "$net/device" ]; then
    printf '%s has no hardware queues: nothing to set\n' "$interface"
    exit 0
fi

online=$(numbers "$(cat /sys/devices/system/cpu/online)")
processors=$(printf '%s\n' "$online" | wc -l)
first=$(nth "$online" 0)

if command -v ethtool >/dev/null; then
    if [ -z "$mode" ] || [ "$mode" = mq ]; then
        has=$(ethtool -l "$interface" 2>/dev/null | awk '/^Combined:/ && $2 ~ /^[0-9]+$/ { print $2 }')
        max=$(printf '%s\n' "$has" | head -n 1)
        now=$(printf '%s\n' "$has" | tail -n 1)
        want=${queues:-$processors}
        [ -n "$max" ] && [ "$want" -gt "$max" ] && want=$max
        if [ -n "$now" ] && [ "$now" != "$want" ]; then
            printf 'queues: %s -> %s\n' "$now" "$want"
            run ethtool -L "$interface" combined "$want"
        fi
    fi
    for flow in udp4 udp6; do
        printf 'ethtool -N %s rx-flow-hash %s sdfn\n' "$interface" "$flow"
        [ -n "$dry_run" ] || ethtool -N "$interface" rx-flow-hash "$flow" sdfn >/dev/null 2>&1
        # It ends with 0 also when the driver refuses.
        ethtool -n "$interface" rx-flow-hash "$flow" 2>/dev/null | grep -q 'L4 bytes 0' ||
            printf '    the driver does not hash %s on ports%s\n' "$flow" "${dry_run:+ yet}"
    done
else
    fail "ethtool is not installed: queues and the hash on ports stay as they are"
fi

receive_queues=$(find "$net/queues" -maxdepth 1 -name 'rx-*' | wc -l)
transmit_queues=$(find "$net/queues" -maxdepth 1 -name 'tx-*' | wc -l)
if [ -z "$mode" ]; then
    mode=mq
    [ "$receive_queues" -lt 2 ] && mode=no_irq_restrictions
fi
printf 'mode %s: %s receive queues, %s processors\n' "$mode" "$receive_queues" "$processors"

case $mode in
sq) taking=$first ;;
sq_split) taking=$(numbers "$(cat "/sys/devices/system/cpu/cpu$first/topology/thread_siblings_list")") ;;
*) taking=$online ;;
esac

if [ "$mode" != no_irq_restrictions ] && pidof irqbalance >/dev/null; then
    if [ -n "$stop_irqbalance" ]; then
        run systemctl stop irqbalance
    else
        fail "irqbalance runs and would move the interrupts again: stop it, or give --stop-irqbalance"
    fi
fi

interrupts | while read -r queue number; do
    if [ "$mode" = no_irq_restrictions ]; then
        put "/proc/irq/$number/smp_affinity_list" "$(cat /sys/devices/system/cpu/online)"
    else
        put "/proc/irq/$number/smp_affinity_list" "$(nth "$taking" "$queue")"
    fi
    [ "$failures" = 0 ]
done || failures=1

case $mode in
sq | sq_split) rps=$(printf '%s\n' "$online" | grep -vxF "$taking" | mask) ;;
*) rps=0 ;;
esac
at=0
while [ "$at" -lt "$receive_queues" ]; do
    put_mask "$net/queues/rx-$at/rps_cpus" "$rps"
    at=$((at + 1))
done

at=0
while [ "$at" -lt "$transmit_queues" ]; do
    if [ "$transmit_queues" -ge "$processors" ]; then
        sending=$(nth "$online" "$at")
    else
        sending=$(printf '%s\n' "$online" | awk -v at="$at" -v queues="$transmit_queues" '(NR - 1) % queues == at')
    fi
    put_mask "$net/queues/tx-$at/xps_cpus" "$(printf '%s\n' "$sending" | mask)"
    at=$((at + 1))
done

put "$net/gro_flush_timeout" 20000
put "$net/napi_defer_hard_irqs" 2
exit "$failures"
