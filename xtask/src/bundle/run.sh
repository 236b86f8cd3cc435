#!/bin/sh
# Tests and measures the GPU of this machine: ./run.sh [--quick|--small]. README.md says what comes of it.
set -u
here=$(cd "$(dirname "$0")" && pwd)
out=${OUT:-$here/results}
backend=${BACKEND:-cuda}
scope=standard
seconds=0.5
only=.
limit=900
presets="16x32 32x64 64x128"
small=
case "${1:-}" in
"") ;;
--quick) scope=quick seconds=0.05 only='ntt/forward/1[24]|ckks/(rotate|mul_relin_rescale)/14' limit=300 ;;
--small) scope=quick seconds=0.05 only='ntt/forward/12' limit=900 small="--small: left out are ceilings, presets of attention, products of matrices, and all operations but ntt/forward/12" ;;
*)
    echo "usage: $0 [--quick|--small]" >&2
    exit 64
    ;;
esac
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd)
cf=$here/bin/cipherformer
export CIPHERFORMER_PROGRAM="$cf" CIPHERFORMER_BACKEND="$backend"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
# Some Vulkan drivers complain where there is none.
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-$work}"

failed=0
rows=""
limited() {
    if command -v timeout > /dev/null 2>&1; then timeout "$limit" "$@"; else "$@"; fi
}
# row STEP RESULT SECONDS NOTE
row() {
    printf '  %-24s %-8s %6s s  %s\n' "$1" "$2" "$3" "$4"
    note=$(printf '%s' "$4" | tr -d '\\"' | tr '\t\r\n' '   ')
    rows="$rows${rows:+,
}    {\"step\": \"$1\", \"result\": \"$2\", \"seconds\": $3, \"note\": \"$note\"}"
}
# step STEP COMMAND..: standard output to STEP.json, the rest to STEP.log; a failure is recorded, and the next step comes.
step() {
    name=$1
    shift
    began=$(date +%s)
    limited "$@" > "$out/$name.json" 2> "$out/$name.log"
    code=$?
    took=$(($(date +%s) - began))
    if [ "$code" -eq 0 ]; then
        row "$name" passed "$took" ""
        return 0
    fi
    failed=$((failed + 1))
    why=$(grep -v '^ *$' "$out/$name.log" | tail -n 1)
    [ "$code" -eq 124 ] && why="no end within $limit s"
    row "$name" FAILED "$took" "status $code: $why"
    return 1
}
skip() { row "$1" skipped 0 "$2"; }
classification() {
    text="The harvest was late this year, and the barns stood empty until October."
    "$cf" keygen --json --client "$work/client" --server "$work/server" >&2 || return 1
    "$cf" encrypt --json --client "$work/client" --text "$text" --out "$work/sent.ct" >&2 || return 1
    "$cf" infer --json --server "$work/server" --in "$work/sent.ct" --out "$work/cpu.ct" --backend cpu > "$work/cpu.json" || return 1
    "$cf" infer --json --server "$work/server" --in "$work/sent.ct" --out "$work/gpu.ct" --backend "$backend" > "$work/gpu.json" || return 1
    equal=false
    cmp "$work/cpu.ct" "$work/gpu.ct" >&2 && equal=true
    printf '{"bytes_equal": %s, "cpu": %s, "gpu": %s}\n' "$equal" "$(cat "$work/cpu.json")" "$(cat "$work/gpu.json")"
    [ "$equal" = true ] || {
        echo "the bytes of the answer differ from those of the CPU" >&2
        return 1
    }
}

echo
echo "  cipherformer on $(uname -n 2> /dev/null || echo this machine): results in $out"
echo
"$cf" doctor --json --backend "$backend" > "$work/device.json" 2> "$work/device.log"
gpu=$?
device=$(sed -n 's/.*"backends":\[{[^]]*"device":"\([^"]*\)".*/\1/p' "$work/device.json")
emulated=false
grep -q '"backends":\[{[^]]*"emulated":true' "$work/device.json" && emulated=true
if [ -z "$device" ]; then
    echo "  no NVIDIA driver or no GPU: GPU steps skipped"
    sed 's/^/  /' "$work/device.log"
elif [ "$emulated" = true ]; then
    echo "  $backend: $device. The processor takes the place of a GPU: results are right or wrong, times say nothing."
else
    echo "  $backend: $device"
fi
[ -z "$small" ] || echo "  $small"
echo

step doctor "$cf" doctor --json
step conformance-cpu "$cf" conformance --json --scope quick --backend cpu
if [ -n "$device" ]; then
    [ "$gpu" -eq 0 ] || { failed=$((failed + 1)); row device FAILED 0 "$(tail -n 1 "$work/device.log")"; }
    step conformance "$cf" conformance --json --scope "$scope" --backend "$backend"
    began=$(date +%s)
    if classification > "$out/classification.json" 2> "$out/classification.log"; then
        row classification passed $(($(date +%s) - began)) "the bytes of the CPU"
    else
        failed=$((failed + 1))
        row classification FAILED $(($(date +%s) - began)) "$(tail -n 1 "$out/classification.log")"
    fi
    [ -n "$small" ] && skip ceilings "too large for --small"
    [ -n "$small" ] || step ceilings "$cf" bench ceilings --json --backend "$backend"
    step ops "$cf" bench ops --json --backend "$backend" --seconds "$seconds" --only "$only"
    if [ "$scope" = quick ]; then
        for name in test-cuda test-devices test-wgpu attention attention-presets matmul compute-sanitizer ncu; do skip "$name" "only in a whole run"; done
    else
        for test in cuda devices wgpu; do
            [ -x "$here/tests/$test" ] || { skip "test-$test" "not in this bundle"; continue; }
            [ "$test" = cuda ] || export CIPHERFORMER_SCOPE=quick
            step "test-$test" sh -c '"$0" --test-threads=1 1>&2' "$here/tests/$test"
            unset CIPHERFORMER_SCOPE
        done
        step attention "$cf" bench attention --json --backend "$backend"
        if [ -n "$small" ]; then
            for name in attention-presets matmul; do skip "$name" "too large for --small"; done
        else
            for packing in column diagonal; do
                for preset in $presets; do
                    step "attention-$packing-$preset" "$cf" bench attention --json --backend "$backend" --packing "$packing" --preset "$preset"
                done
            done
            for encrypted in left both; do
                step "matmul-$encrypted" "$cf" bench matmul --json --backend "$backend" --m 128 --k 128 --n 128 --encrypted "$encrypted" \
                    --seconds "$seconds"
            done
        fi
        if command -v compute-sanitizer > /dev/null 2>&1 && [ "$emulated" = false ]; then
            for tool in memcheck racecheck; do
                step "$tool" sh -c 'CIPHERFORMER_SCOPE=quick compute-sanitizer "$@" 1>&2' sh --tool "$tool" --error-exitcode 9 \
                    --log-file "$out/$tool.txt" "$here/tests/cuda" --exact a_circuit_gives_the_bits_of_the_cpu
            done
        else
            skip compute-sanitizer "not installed"
        fi
        if command -v ncu > /dev/null 2>&1 && [ "$emulated" = false ]; then
            step ncu ncu --csv --log-file "$out/ncu.csv" --launch-skip 200 --launch-count 60 --section SpeedOfLight \
                "$cf" bench ops --json --backend "$backend" --seconds 0 --only 'ckks/mul_relin_rescale/16'
        else
            skip ncu "not installed"
        fi
    fi
    if "$cf" doctor --json --backend wgpu > "$out/doctor-wgpu.json" 2> "$out/doctor-wgpu.log"; then
        step conformance-wgpu "$cf" conformance --json --scope "$scope" --backend wgpu
    else
        skip conformance-wgpu "$(tail -n 1 "$out/doctor-wgpu.log")"
    fi
else
    for name in conformance classification ceilings ops test-cuda test-devices test-wgpu attention attention-presets matmul compute-sanitizer ncu conformance-wgpu; do
        skip "$name" "no GPU"
    done
fi

if [ "$failed" -gt 0 ]; then status=1 verdict="$failed steps FAILED"
elif [ -z "$device" ]; then status=2 verdict="no GPU: its steps were skipped"
elif [ "$emulated" = true ]; then status=3 verdict="all steps passed on an EMULATED device: nothing was measured"
else status=0 verdict="all steps passed"
fi
{
    printf '{\n  "status": %s,\n  "verdict": "%s",\n  "backend": "%s",\n  "device": "%s",\n  "emulated": %s,\n' \
        "$status" "$verdict" "$backend" "$device" "$emulated"
    printf '  "origin": %s,\n  "steps": [\n%s\n  ]\n}\n' "$(cat "$here/origin.json")" "$rows"
} > "$out/summary.json"
echo
echo "  $verdict; $out/summary.json"
exit "$status"
