# The packages a board needs, fetched and built on the workstation. Part of scripts/provision: sourced, not run.
# It uses `root`, `python`, `target`, `version`, `scratch`, `stage` and `wheels` of scripts/provision, and sets `unknown`.
# shellcheck shell=bash disable=SC2154,SC2034

readonly EPOCH=1577836800 # the date of all files in the device wheel

# wanted_pins: the wheels the board lacks, as pins. NumPy where the system's is too old; OpenCV and TensorRT are JetPack's.
wanted_pins() {
    "$python" - "$root/$(constraints "$version")" "$version" <<'PY'
import sys
from pip._vendor.packaging.requirements import Requirement

pins, version = sys.argv[1:]
numbers = tuple(map(int, version.split(".")))
wanted = ["flask", "werkzeug", "jinja2", "markupsafe", "click", "itsdangerous", "blinker"]
if numbers < (3, 10):
    wanted += ["importlib-metadata", "zipp", "typing-extensions", "numpy"]
if numbers < (3, 7):
    wanted.append("dataclasses")
place = {
    "python_version": version, "python_full_version": version + ".9", "platform_machine": "aarch64",
    "platform_system": "Linux", "sys_platform": "linux", "os_name": "posix",
    "platform_python_implementation": "CPython", "implementation_name": "cpython",
}
for line in open(pins, encoding="utf-8"):
    if not line.startswith("#"):
        pin = Requirement(line)
        if pin.name in wanted and (pin.marker is None or pin.marker.evaluate(place)):
            print(pin.name + str(pin.specifier))
# It installs the others: the official images have none.
print("pip==21.3.1" if numbers < (3, 8) else "pip==24.2")
# The GPU's memory: pycuda is compiled on the board, which takes these; cuda-python must not be newer than CUDA.
if numbers < (3, 10):
    print("mako==1.1.6\nplatformdirs==2.4.0\nappdirs==1.4.4\nsetuptools==59.6.0\nwheel==0.37.1")
elif numbers < (3, 12):
    print("cuda-python==12.6.2.post1")
else:
    print("cuda-python==13.0.3\ncuda-bindings==13.0.3\ncuda-pathfinder==1.8.3")
PY
}

# wanted_sources: what has no wheel.
wanted_sources() {
    at_least "$version" 3.10 || printf 'pycuda==2022.1\npytools==2022.1.12\n'
}

# sources_sum: of all that the device wheel is made of, with the date that stands in it.
sources_sum() {
    (cd "$root" && printf '%s ' "$EPOCH" && find edge pyproject.toml README.md LICENSE NOTICE -type f \
        ! -name '*.pyc' ! -path '*/__pycache__/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) | sha256sum | cut -d ' ' -f 1
}

# stamped FILE STAMP: was it finished with exactly this?
stamped() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }

# fetch_wheels: what the board lacks, and the device wheel, into `store`; only what is not there yet.
fetch_wheels() {
    local minor newest=35 platforms=()
    case $version in 3.6) newest=27 ;; 3.8) newest=31 ;; esac # their C library
    for minor in $(seq 17 $newest); do platforms+=(--platform "manylinux_2_${minor}_aarch64"); done
    if ! stamped "$store/.stamp" "$1"; then
        rm -rf "$store"
        mkdir -p "$store"
        say "fetching the packages of $(constraints "$version") for Python $version"
        quiet_pip download --no-deps --only-binary :all: \
            --implementation cp --python-version "$version" --platform manylinux2014_aarch64 "${platforms[@]}" \
            --dest "$store" -r "$scratch/pins" ||
            fail "the wheels could not be fetched; the reason is above. Is this machine on the network? Or give --wheels FOLDER"
        if [ -s "$scratch/sources" ]; then
            quiet_pip download --no-deps --no-binary pycuda,pytools --dest "$store" -r "$scratch/sources" ||
                fail "the source of pycuda could not be fetched; the reason is above"
        fi
        printf '%s\n' "$1" >"$store/.stamp"
    fi
    if ! stamped "$store/.built" "$2"; then
        rm -f "$store"/carcloud-*.whl
        say "building the device wheel"
        # One date for all files in it: the same sources give the same wheel.
        SOURCE_DATE_EPOCH=$EPOCH quiet_pip wheel --no-deps --wheel-dir "$store" "$root" ||
            fail "the device wheel could not be built; the reason is above"
        printf '%s\n' "$2" >"$store/.built"
    fi
}

quiet_pip() { "$python" -m pip "$1" --disable-pip-version-check --quiet "${@:2}"; }

# stage_wheels: into `stage`. Sets `unknown` where a dry run would have had to fetch them first.
stage_wheels() {
    local store=${XDG_CACHE_HOME:-$HOME/.cache}/carcloud-wheels/$target stamp built
    unknown=
    if [ -z "$wheels" ]; then
        wanted_pins >"$scratch/pins"
        wanted_sources >"$scratch/sources"
        stamp=$(stamp_of "$scratch/pins" "$scratch/sources" "$version")
        built=$(sources_sum)
        if [ "$DRY_RUN" = 0 ]; then
            mkdir -p "$(dirname "$store")"
            exec 9>"$store.lock" # twenty boards at once: one of them fetches
            flock 9
            fetch_wheels "$stamp" "$built"
            exec 9>&-
        elif ! stamped "$store/.stamp" "$stamp" || ! stamped "$store/.built" "$built"; then
            say "would build the device wheel, and fetch the wheels of $(constraints "$version") for Python $version into $store"
            unknown=opt/carcloud/wheels
            return
        fi
        wheels=$store
    fi
    for need in carcloud pip; do
        compgen -G "$wheels/$need-*.whl" >/dev/null || fail "$wheels holds no wheel of $need"
    done
    install -d "$stage/opt/carcloud/wheels"
    find "$wheels" -maxdepth 1 \( -name '*.whl' -o -name '*.tar.gz' \) -exec install -m 644 -t "$stage/opt/carcloud/wheels" {} +
    say "$(find "$stage/opt/carcloud/wheels" -type f | wc -l) packages, $(du -sm "$stage/opt/carcloud/wheels" | cut -f 1) MB"
}
