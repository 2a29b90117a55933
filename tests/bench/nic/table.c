/*
 * The flow table's placement, as the driver does it: how full before the first
 * flow finds no place, how many keys clash by their tags, how fast.
 *
 * Prints `name value unit` lines.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "flow_hash.h"
#include "flow_place.h"

#define PROBES 4000000u
#define SPEED_LOAD 0.9

static uint32_t secret[SLU_NIC_HASH_KEYS];
static uint64_t state = 1;

/* splitmix64 */
static uint64_t draw(void)
{
	uint64_t z = state += 0x9E3779B97F4A7C15ULL;

	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
	z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
	return z ^ z >> 31;
}

static double cpu_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Clients of one service: any address and port, one destination, IPv4 TCP. */
static struct slu_flow_hash random_flow(void)
{
	const uint8_t service[4] = {198, 18, 1, 100};
	uint64_t client = draw();
	struct slu_flow_key key;

	slu_flow_hash_key(&key, (const uint8_t *)&client, service, 4, (slu_be16)(client >> 32), 0x5000, 6, 0);
	return slu_flow_hash_compute(&key, secret, SLU_NIC_MODEL_BUCKET_BITS);
}

/* Of so many new keys, in parts per million, those that the table as it is would refuse for their tag. */
static void print_clashes(const struct slu_flow_place *table, unsigned int percent)
{
	uint32_t clashes = 0, slot;

	for (uint32_t i = 0; i < PROBES; i++) {
		struct slu_flow_hash h = random_flow();

		clashes += slu_flow_place_find(table, h.bucket, h.tag, &slot) == 0;
	}
	printf("nic.tag_clash_ppm_%u %.1f ppm\n", percent, clashes * 1e6 / PROBES);
	fflush(stdout);
}

/* Fills until it stops at `limit` of the slots or for want of place. Returns whether it reached the limit. */
static int fill(struct slu_flow_place *table, double limit, struct slu_flow_place_plan *plan)
{
	uint32_t slots = slu_flow_place_slots(table);

	while (slu_flow_place_used(table) < limit * slots) {
		struct slu_flow_hash h = random_flow();

		if (slu_flow_place_insert(table, h.bucket, h.tag, plan) == -ENOSPC)
			return 0;
	}
	return 1;
}

int main(void)
{
	static const unsigned int loads[] = {75, 90, 95};
	struct slu_flow_place *table;
	struct slu_flow_place_plan plan;
	double cpu;

	for (unsigned int i = 0; i < SLU_NIC_HASH_KEYS; i++)
		secret[i] = (uint32_t)draw();
	slu_flow_hash_condition(secret);
	if (slu_flow_place_create(SLU_NIC_MODEL_BUCKET_BITS, &table))
		return 1;
	for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++)
		if (fill(table, loads[i] / 100.0, &plan))
			print_clashes(table, loads[i]);
	fill(table, 1.0, &plan);
	printf("nic.table_first_capacity_fail_load %.4f of_slots\n",
		(double)slu_flow_place_used(table) / slu_flow_place_slots(table));
	slu_flow_place_destroy(table);

	if (slu_flow_place_create(SLU_NIC_MODEL_BUCKET_BITS, &table))
		return 1;
	cpu = cpu_now();
	fill(table, SPEED_LOAD, &plan);
	printf("nic.driver_inserts_per_cpu_s %.0f inserts/s\n", slu_flow_place_used(table) / (cpu_now() - cpu));
	slu_flow_place_destroy(table);
	return 0;
}
