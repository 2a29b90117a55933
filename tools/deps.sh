#!/bin/bash
# Installs what tools/packages.txt names and is not there yet. No service that a package brings is started.
# Usage: tools/deps.sh [packages file]; as root unless nothing is missing.
set -euo pipefail

list=${1:-$(dirname "$0")/packages.txt}
policy=/usr/sbin/policy-rc.d

die() {
	echo "deps: $*" >&2
	exit 1
}

# Prints the packages of the list that are not installed.
missing_packages() {
	local wanted installed
	wanted=$(sed -e 's/#.*//' -e 's/[[:space:]]*$//' -e '/^$/d' "$list" | sort -u)
	# dpkg-query fails when any name is unknown to it; the known ones are printed all the same.
	# shellcheck disable=SC2016,SC2086
	installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null |
		awk '$1 == "installed" { print $2 }' | sort -u) || true
	comm -23 <(echo "$wanted") <(echo "$installed")
}

# Maintainer scripts ask policy-rc.d whether they may start a service: for the time of the call the answer is no.
forbid_services() {
	if [ -e "$policy" ]; then
		mv "$policy" "$policy.sluice-saved"
	fi
	trap restore_services EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
}

restore_services() {
	rm -f "$policy"
	if [ -e "$policy.sluice-saved" ]; then
		mv "$policy.sluice-saved" "$policy"
	fi
}

install() {
	apt-get -o DPkg::Lock::Timeout=600 install -y -q --no-install-recommends "$@" </dev/null
}

[ -r "$list" ] || die "cannot read $list"
command -v dpkg-query >/dev/null || die "this is not Debian: install by hand what $list names"
mapfile -t packages < <(missing_packages)
[ ${#packages[@]} -gt 0 ] || exit 0

[ "$(id -u)" = 0 ] || die "not root, cannot install: ${packages[*]}"
exec 9>/run/sluice-deps.lock
flock 9
mapfile -t packages < <(missing_packages) # another run may have installed them meanwhile
[ ${#packages[@]} -gt 0 ] || exit 0

echo "deps: installing ${packages[*]}"
export DEBIAN_FRONTEND=noninteractive
forbid_services
# Package lists may be absent (fresh image) or stale (files gone from the mirror).
if ! apt-get -s -q install --no-install-recommends "${packages[@]}" >/dev/null 2>&1; then
	apt-get -q update
fi
if ! install "${packages[@]}"; then
	apt-get -q update
	install "${packages[@]}" || die "apt-get could not install: ${packages[*]}"
fi
mapfile -t packages < <(missing_packages)
[ ${#packages[@]} -eq 0 ] || die "still missing after the installation: ${packages[*]}"
echo "deps: done"
