/*
 * A network of its own for a test program: loopback alone, with addresses that
 * a configuration accepts. Nothing that the program sends leaves it.
 */
#ifndef SLU_TESTS_OWN_NETWORK_H
#define SLU_TESTS_OWN_NETWORK_H

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

/* Has 198.18.2.1 to .9 and fd00:2::1. Needs root. Returns 0, or -1 with a line for TAP printed. */
static inline int own_network_enter(void)
{
	if (unshare(CLONE_NEWNET) != 0) {
		puts("1..0 # SKIP a network namespace needs root");
		return -1;
	}
	if (system("ip link set lo up && for i in 1 2 3 4 5 6 7 8 9; do ip address add 198.18.2.$i/32 dev lo; done && "
		   "ip -6 address add fd00:2::1/128 dev lo nodad") != 0) {
		puts("Bail out! ip(8) cannot set up the loopback interface");
		exit(1);
	}
	return 0;
}

#endif
