#!/bin/bash
# Emulators on Debian 12 (amd64, root) from Debian's own archive; with targets named, cross targets too, for machines
# that reach no Rust download server. `cargo xtask setup` runs this only where something is missing. Running it again is
# free.
#
# The trick for targets: Debian ships rustc and, as rust-web-src, the source of its standard library. core and alloc are built from
# that once for each bare-metal target and put where rustc looks for a target's libraries; rustup then knows the result
# as the toolchain "debian".
#
# usage: debian.sh TOOLS_FOLDER [TARGET...]
set -euo pipefail
tools=$1; shift
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
say() { echo "setup: $*"; }
apt() { apt-get -qq -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 "$@"; }
missing() { for p in "$@"; do dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || echo "$p"; done; }
scratch=$(mktemp -d)
chmod 755 "$scratch" # apt downloads as a user of its own
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$tools"

# ---- packages. QEMU comes from backports: bookworm's own lacks the Raspberry Pi 4.
backports=/etc/apt/sources.list.d/jamlet-backports.sources
if ! grep -rqs bookworm-backports /etc/apt/sources.list /etc/apt/sources.list.d; then
  mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' | awk '$2 == "bookworm" { print $1; exit }')
  say "adding bookworm-backports from this machine's mirror"
  printf '%s\n' 'Types: deb' "URIs: $mirror" 'Suites: bookworm-backports' 'Components: main' \
    'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg' > "$backports"
fi
rust=
if [ $# -gt 0 ]; then rust="rustc-web cargo-web rust-web-src rust-web-clippy"; fi
stable=$(missing $rust gcc libc6-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross libcapstone4 valgrind g++ make \
  gcc-arm-none-eabi libnewlib-arm-none-eabi chromium)
# Node may be there from elsewhere, with its npm.
if ! command -v node > /dev/null; then stable+=" nodejs"; fi
if ! command -v npm > /dev/null; then stable+=" npm"; fi
newer=$(missing qemu-system-arm)
if [ -n "$stable$newer" ] || [ ! -x "$tools/qemu-aarch64" ]; then say "reading package lists"; apt update; fi
if [ -n "$stable" ]; then say "installing" $stable; apt install -y --no-install-recommends $stable > /dev/null; fi
if [ -n "$newer" ]; then
  say "installing" $newer
  apt install -y --no-install-recommends -t bookworm-backports $newer > /dev/null
fi

# ---- qemu-aarch64 of bookworm: the one of backports is linked statically and can't load plugins
if [ ! -x "$tools/qemu-aarch64" ]; then
  say "fetching qemu-aarch64"
  mkdir -p "$scratch/user"
  (cd "$scratch/user" && apt -o APT::Sandbox::User=root download qemu-user/bookworm && dpkg -x ./*.deb .)
  cp "$scratch/user/usr/bin/qemu-aarch64" "$tools/"
fi

if [ $# = 0 ]; then exit; fi
rustc=/usr/bin/rustc cargo=/usr/bin/cargo
info=$($rustc -vV)
host=$(sed -n 's/^host: //p' <<< "$info")
commit=$(sed -n 's/^commit-hash: //p' <<< "$info")
libraries=$($rustc --print sysroot)/lib/rustlib

# ---- a linker for bare metal: Debian's rustc comes without one
lld=$libraries/$host/bin/rust-lld
if [ ! -x "$lld" ]; then
  found=$(ls -d "$HOME"/.rustup/toolchains/*/lib/rustlib/"$host"/bin/rust-lld 2> /dev/null | head -1 || true)
  if [ -z "$found" ]; then say "installing lld-22"; apt install -y --no-install-recommends lld-22 > /dev/null; found=/usr/lib/llvm-22/bin/lld; fi
  mkdir -p "$(dirname "$lld")"
  ln -sfn "$found" "$lld"
fi

# ---- core and alloc for the bare-metal targets and WebAssembly
source=$(readlink -f "$libraries/src/rust")
workspace=$scratch/sysroot
mkdir -p "$workspace/src" "$workspace/cc/src"
echo '#![no_std]' > "$workspace/src/lib.rs"
# compiler_builtins names cc as an optional build dependency. It isn't used, but has to resolve without a network.
: > "$workspace/cc/src/lib.rs"
printf '%s\n' '[package]' 'name = "cc"' 'version = "1.2.0"' > "$workspace/cc/Cargo.toml"
cat > "$workspace/Cargo.toml" << TOML
[workspace]
[package]
name = "sysroot"
version = "0.0.0"
edition = "2021"
[dependencies]
alloc = { path = "$source/library/alloc" }
[patch.crates-io]
cc = { path = "cc" }
# As the libraries that rustup serves are built.
[profile.dist]
inherits = "release"
codegen-units = 1
debug = 1
[profile.dist.package.compiler_builtins]
codegen-units = 10000
TOML
build() {
  local target=$1 into=$libraries/$1/lib
  say "building core and alloc for $target"
  (cd "$workspace" && env -u RUSTUP_TOOLCHAIN -u CARGO_BUILD_TARGET RUSTC_BOOTSTRAP=1 RUSTC=$rustc CARGO_INCREMENTAL=0 \
    CARGO_HOME="$scratch/home" CARGO_TARGET_DIR="$scratch/$target" \
    RUSTFLAGS="-Zforce-unstable-if-unmarked -Zunstable-options -Cembed-bitcode=yes -Cforce-frame-pointers=non-leaf --remap-path-prefix=$source=/rustc/$commit -Awarnings" \
    $cargo build --quiet --offline -p alloc --profile dist --target "$target")
  rm -rf "$into"
  mkdir -p "$into"
  cp "$scratch/$target/$target"/dist/deps/lib{core,alloc,compiler_builtins}-*.rlib "$into/"
  touch "$into/.built-by-$commit"
}
for target in "$@"; do
  case $target in *-none* | wasm32-*) [ -e "$libraries/$target/lib/.built-by-$commit" ] || build "$target" ;; esac
done

# ---- std for aarch64 Linux: Debian builds it itself, for arm64. Its package is unpacked, not installed, through package
# lists of its own, so that this machine doesn't become a multi-architecture one.
linux=$libraries/aarch64-unknown-linux-gnu
if [ ! -e "$linux/lib/.built-by-$commit" ]; then
  say "fetching std for aarch64 Linux"
  mkdir -p "$scratch/lists/partial" "$scratch/std"
  both=(-o APT::Architecture=amd64 -o APT::Architectures=amd64,arm64 -o "Dir::State::lists=$scratch/lists"
    -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root)
  apt "${both[@]}" update
  version=$(dpkg-query -W -f='${Version}' libstd-rust-web-dev)
  (cd "$scratch/std" && apt "${both[@]}" download "libstd-rust-web-dev:arm64=$version" && dpkg -x ./*.deb .)
  rm -rf "$linux"
  cp -r "$scratch/std/usr/lib/rustlib/aarch64-unknown-linux-gnu" "$linux"
  touch "$linux/lib/.built-by-$commit"
fi

if command -v rustup > /dev/null && ! rustup toolchain list | grep -q '^debian'; then rustup toolchain link debian /usr; fi
