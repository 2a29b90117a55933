/*
 * A cable between two interfaces, carried frame by frame, that can be made bad in each
 * direction by itself: cut, delay, jitter, loss, duplicates, reordering.
 */
#ifndef SLU_TESTS_LAB_WIRE_CABLE_H
#define SLU_TESTS_LAB_WIRE_CABLE_H

#include <stdbool.h>
#include <stdint.h>

/* What is done to the frames of one direction. All zero: nothing. Parts are of a million frames. */
struct wire_harm {
	uint32_t cut;       /* 1: nothing passes */
	uint32_t mcast_cut; /* 1: no IPv4 multicast passes; unicast and broadcast do */
	uint32_t delay_us, jitter_us;
	uint32_t loss_ppm, twice_ppm;
	uint32_t late_ppm, late_us; /* frames held back, so that others overtake them */
};

struct wire_stats {
	uint64_t frames, lost, twice, late, delayed, overflow;
};

struct wire_frame;

struct wire_direction {
	int in, out; /* packet sockets */
	struct wire_harm harm;
	struct wire_stats stats;
	struct wire_frame *first, *last; /* that wait, by their time */
	uint32_t waiting;
};

struct wire_cable {
	const char *name;
	struct wire_direction way[2]; /* 0: from a to b */
};

/* Opens the cable between interfaces a and b of this namespace. name must live on. 0 or -errno. */
int wire_cable_open(struct wire_cable *cable, const char *name, const char *a, const char *b);

/* Takes what has come in one direction, and sends on what need not wait. */
void wire_cable_receive(struct wire_direction *way, uint64_t now_us);

/* Sends what has waited long enough; returns when the next is due, UINT64_MAX: none waits. */
uint64_t wire_cable_release(struct wire_direction *way, uint64_t now_us);

/* Draws from the one generator of the process. */
void wire_cable_seed(uint64_t seed);

#endif
