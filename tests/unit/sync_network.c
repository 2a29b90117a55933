#define _GNU_SOURCE
#include "tests/unit/sync_network.h"

#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static int namespaces[SYNC_NETWORK_NODES_MAX + 1];

void sync_network_enter(unsigned int node)
{
	if (setns(namespaces[node], CLONE_NEWNET) != 0) {
		puts("Bail out! setns");
		exit(1);
	}
}

void sync_network_run(unsigned int node, const char *format, ...)
{
	char command[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	sync_network_enter(node);
	if (system(command) != 0) {
		printf("Bail out! %s\n", command);
		exit(1);
	}
	sync_network_enter(0);
}

/* Inherited by system(), which names them by number. */
static bool make_namespace(unsigned int node)
{
	if (unshare(CLONE_NEWNET) != 0)
		return false;
	namespaces[node] = open("/proc/self/ns/net", O_RDONLY);
	return namespaces[node] >= 0;
}

void sync_network_join(unsigned int node)
{
	sync_network_run(0,
		"ip link add h%u type veth peer name sync0 netns /proc/self/fd/%d && "
		"ip link set h%u master br0 up",
		node, namespaces[node], node);
	sync_network_run(
		node, "ip link set lo up && ip address add 198.18.9.%u/24 dev sync0 && ip link set sync0 up", node);
}

bool sync_network_make(unsigned int count)
{
	for (unsigned int node = 0; node <= count; node++)
		if (!make_namespace(node)) {
			puts("1..0 # SKIP network namespaces need root");
			return false;
		}
	sync_network_run(0,
		"ip link set lo up && ip link add br0 type bridge mcast_snooping 0 && ip link set br0 up && "
		"ip address add 198.18.9.250/24 dev br0");
	for (unsigned int node = 1; node <= count; node++)
		sync_network_join(node);
	return true;
}
