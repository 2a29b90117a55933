#!/bin/bash
# Makes sluice_VERSION_ARCHITECTURE.deb of an installed tree: tools/package.sh TREE OUTPUT_FOLDER VERSION.
set -euo pipefail
tree=$1 out=$2 version=$3

architecture=$(dpkg --print-architecture)
mapfile -t programs < <(find "$tree/usr" -type f)
# dpkg-shlibdeps wants to stand in a source package.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/debian"
printf 'Source: sluice\n\nPackage: sluice\nArchitecture: any\n' >"$work/debian/control"
depends=$(cd "$work" && dpkg-shlibdeps -O -l/usr/lib/x86_64-linux-gnu/dpdk "${programs[@]/#/$OLDPWD/}" 2>/dev/null |
	sed -n 's/^shlibs:Depends=//p')
[ -n "$depends" ] || {
	echo "package: cannot tell which libraries $tree needs" >&2
	exit 1
}
# DPDK loads these by itself: no linker sees them.
depends+=', librte-mempool-ring23, librte-bus-pci23, librte-net-af-packet23, librte-net-af-xdp23'
install -D -m 644 LICENSE "$tree/usr/share/doc/sluice/copyright"
mkdir -p "$tree/DEBIAN"
cat >"$tree/DEBIAN/control" <<END
Package: sluice
Version: $version
Architecture: $architecture
Maintainer: Sluice <sluice@localhost>
Section: net
Priority: optional
Depends: $depends
Description: load balancer whose Layer-4 fast path is in the NIC
 The agent sluiced, the operator's command sluicectl, the simulated card
 sluice-nic and its DPDK driver.
END
dpkg-deb --root-owner-group --build "$tree" "$out" >/dev/null
ls "$out"/sluice_*.deb
