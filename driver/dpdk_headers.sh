#!/bin/bash
# Puts the driver headers of the installed DPDK into a folder. Debian ships them in its source package only.
# The source is asked for at the machine's own Debian mirrors, through a list of sources in the folder itself:
# the machine's configuration is not touched.
#
# usage: dpdk_headers.sh FOLDER
set -euo pipefail

out=$1
version=$(dpkg-query -W -f '${Version}' libdpdk-dev)
if [ "$(cat "$out/version" 2>/dev/null)" = "$version" ]; then
	touch "$out/version"
	exit 0
fi
rm -rf "$out"
mkdir -p "$out/unpacked/lists/partial"
out=$(cd "$out" && pwd)
cd "$out/unpacked"

# Every Debian archive the machine knows, in either style of sources list, once each.
options=(-o "Dir::Etc::sourcelist=$out/unpacked/sources.list" -o Dir::Etc::sourceparts=/dev/null
	-o "Dir::State::lists=$out/unpacked/lists" -o Acquire::Languages=none)
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
list_sources() {
	# shellcheck disable=SC2016 # apt's own variables
apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
		awk -v key="$keyring" '$1 == "Debian" && $4 == "main" && !seen[$2 $3]++ {
			print "deb-src [signed-by=" key "] " $2 " " $3 " " $4 }' >sources.list
}
list_sources
if [ ! -s sources.list ]; then
	apt-get -q update >apt.log 2>&1 || true # an image may come without package lists
	list_sources
fi
if [ ! -s sources.list ]; then
	echo "dpdk_headers: apt knows no Debian archive; 'apt-get update' as root should tell why" >&2
	exit 1
fi
apt-get -q "${options[@]}" update >apt.log 2>&1 || { cat apt.log >&2; exit 1; }
upstream=${version%%-*}
if ! apt-get -q "${options[@]}" source --download-only "dpdk=$version" >>apt.log 2>&1; then
	# The mirror has moved on: any source of the same upstream release has the same headers.
	other=$(apt-cache "${options[@]}" showsrc dpdk 2>/dev/null | awk '$1 == "Version:" { print $2 }' |
		grep -F "${upstream%.*}." | sort -V | tail -1)
	if [ -z "$other" ]; then
		echo "dpdk_headers: no mirror has the source of dpdk $version" >&2
		tail -5 apt.log >&2
		exit 1
	fi
	echo "dpdk_headers: the source of $version is gone from the mirrors; using that of $other" >&2
	apt-get -q "${options[@]}" source --download-only "dpdk=$other" >>apt.log 2>&1
fi

tar -xf dpdk_*.orig.tar.* --strip-components=1 --wildcards '*/lib/ethdev/*.h' '*/lib/eal/include/*driver.h' \
	'*/drivers/bus/vdev/*.h' '*/drivers/bus/pci/*.h'
mkdir -p "$out/include"
# Only what the binary package lacks: its own headers stay in charge of everything else.
for header in lib/ethdev/ethdev_driver.h lib/ethdev/ethdev_vdev.h lib/eal/include/*driver.h drivers/bus/vdev/*.h; do
	[ -e "/usr/include/dpdk/$(basename "$header")" ] || cp "$header" "$out/include/"
done
test -e "$out/include/ethdev_driver.h" -a -e "$out/include/bus_vdev_driver.h" -a -e "$out/include/dev_driver.h"
cd "$out"
rm -rf unpacked
echo "$version" >version
