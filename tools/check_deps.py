#!/usr/bin/python3
"""Checks the direction of dependencies: which folder may include what. Prints each offence as file:line: text.

The table is the one of ARCHITECTURE.md. A quoted or angled include counts by the file it names, whichever way it is
spelled; an include that no rule knows is an offence too, so that a new library is a decision and not an accident.
Usage: tools/check_deps.py [top folder]
"""
import os
import re
import sys

DPDK = r"rte_\w+\.h$"
# Not in libdpdk-dev: they come from DPDK's source package, for a driver alone.
DPDK_DRIVER = r"(ethdev_\w+|bus_\w+|dev_driver|rte_flow_driver)\.h$"
LIBC = (
    r"(assert|complex|ctype|errno|fenv|float|inttypes|iso646|limits|locale|math|setjmp|signal|stdalign|stdarg|stdatomic|"
    r"stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|strings|tgmath|threads|time|uchar|wchar|endian|byteswap)\.h$"
)
POSIX = (
    r"((sys|netinet|netpacket|net|arpa|linux|asm|netlink)/.*|unistd|fcntl|pthread|poll|dirent|getopt|sched|syslog|netdb|"
    r"dlfcn|glob|ifaddrs|mntent|pwd|grp|regex|spawn|termios|ucontext|execinfo|libgen|sysexits|fnmatch|malloc|"
    r"cpuid|[a-z]*intrin)\.h$"
)
C = f"{LIBC}|{POSIX}"

# Folder (longest prefix wins): project folders it may include, pattern of system headers.
RULES = {
    "include/sluice": (["include/sluice"], LIBC),
    "lib": (["include/sluice", "lib"], LIBC + r"|[a-z]*intrin\.h$"),
    "hw/sim": (["include/sluice", "lib", "hw/sim"], f"{C}|zlib\\.h$|jansson\\.h$|verilated\\w*\\.h$|V\\w+\\.h$|[a-z_]+$"),
    "hw": (["include/sluice", "lib", "hw"], f"{C}|verilated\\w*\\.h$|V\\w+\\.h$|[a-z_]+$"),
    "driver": (["include/sluice", "lib", "driver"], f"{C}|{DPDK}|{DPDK_DRIVER}|libfdt\\.h$|bpf\\.h$"),
    "host": (["include/sluice", "lib", "host"], f"{C}|{DPDK}|event2/.*|event\\.h$|yaml\\.h$|jansson\\.h$|libmnl/.*"),
    "host/sync": (["include/sluice", "lib", "host"], f"{C}|event2/.*|openssl/.*"),
    # SHA-256 and base64 of etcd's keys and values.
    "host/cluster": (["include/sluice", "lib", "host"], f"{C}|event2/.*|jansson\\.h$|libmnl/.*|openssl/.*"),
    "l7": (["include/sluice", "lib", "l7"], f"{C}|event2/.*|openssl/.*|yaml\\.h$|jansson\\.h$"),
    "keyserver": (["include/sluice", "lib", "keyserver"], f"{C}|event2/.*|openssl/.*|yaml\\.h$|seccomp\\.h$"),
    "tools": (["include/sluice", "tools"], f"{C}|jansson\\.h$"),
    "tools/toa": (["tools/toa"], f"{C}|bpf/.*"),
    "tests": (["include/sluice", "lib", "hw", "driver", "host", "keyserver", "l7", "tools", "tests"], r".*"),
}
# One header of the driver is public.
EXCEPTIONS = {("host", "driver/rte_pmd_sluice.h")}
# Where an include without a folder may be found, beside the includer's own folder (-I of the builds).
SEARCH = ["", "include", "lib", "driver", "host", "hw/sim"]

INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')


def rule_of(path):
    for folder in sorted(RULES, key=len, reverse=True):
        if path.startswith(folder + "/"):
            return folder
    return None


def resolve(top, includer, name):
    """The project's file that an include names, or None when it is a system header."""
    for base in [os.path.dirname(includer)] + SEARCH:
        path = os.path.normpath(os.path.join(base, name))
        if not path.startswith("..") and os.path.isfile(os.path.join(top, path)):
            return path
    return None


def offence(top, includer, name):
    folder = rule_of(includer)
    if folder is None:
        return "no rule for this folder"
    allowed, system = RULES[folder]
    target = resolve(top, includer, name)
    if target is None:
        generated = folder in ("tests", "hw", "hw/sim", "driver") and name.startswith(("build/", "Vsluice", "Vslu"))
        return None if generated or re.match(system, name) else "not a header this folder may know"
    if (folder, target) in EXCEPTIONS or any(target.startswith(f"{place}/") for place in allowed):
        return None
    return f"{folder} must not know {rule_of(target)}"


def sources(top):
    for place, folders, names in os.walk(top):
        folders[:] = [f for f in folders if not f.startswith(".") and f != "build"]
        for name in names:
            if name.endswith((".c", ".h", ".cc", ".cpp", ".hpp")):
                yield os.path.relpath(os.path.join(place, name), top)


def main():
    top = sys.argv[1] if len(sys.argv) > 1 else "."
    offences = 0
    for path in sorted(sources(top)):
        with open(os.path.join(top, path), encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                match = INCLUDE.match(line)
                why = match and offence(top, path, match.group(2))
                if why:
                    print(f"{path}:{number}: {line.strip()}: {why}")
                    offences += 1
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
