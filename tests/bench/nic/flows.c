/*
 * The card as a card: clocks a frame, latency, and how fast the simulation
 * runs. Flows are written through the command ring, frames come on wire 0 back
 * to back and must leave wire 1 rewritten right, all of them, in order.
 *
 * Prints `name value unit` lines. Exits with 1 if a frame is lost or wrong.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "checksum.h"
#include "packet_edit.h"
#include "tests/cosim/card.h"

#define FLOWS 1024u
#define FLOWS_MAX 4096u
#define FRAMES_MAX 1000000u
#define FRAME_BYTES 60u /* 64 with FCS */
#define CHUNK 1024u     /* frames given to the wire at once */
#define RECORD_CLOCKS 200u
#define REORDER_MIN_CLOCKS 100u
#define REORDER_MAX_CLOCKS 400u
#define PROBES 64u

static struct {
	struct card *card;
	uint8_t in[FLOWS_MAX][FRAME_BYTES];
	uint8_t want[FLOWS_MAX][FRAME_BYTES];
	uint16_t order[FRAMES_MAX]; /* flow of each frame */
	uint32_t flows, frames;
	uint32_t sent, arrived, wrong;
	uint64_t first_clock, last_clock;
} bench;

static uint64_t clocks_now(void)
{
	struct slu_nic_model_stats s;

	slu_nic_model_get_stats(card_model(bench.card), &s);
	return s.clocks;
}

static double cpu_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void take(void *ctx, unsigned int port, const uint8_t *frame, size_t len)
{
	(void)ctx;
	if (!bench.arrived)
		bench.first_clock = clocks_now();
	if (bench.arrived + 1 == bench.frames)
		bench.last_clock = clocks_now();
	if (bench.arrived >= bench.sent || port != 1 || len != FRAME_BYTES ||
		memcmp(frame, bench.want[bench.order[bench.arrived]], FRAME_BYTES))
		bench.wrong++;
	bench.arrived++;
}

/* Flow f: 10.0.x.y:p > 198.18.1.100:80 becomes 198.18.2.100:q > 198.18.2.11:8080, FULLNAT as the agent writes it. */
static void make_rule(unsigned int f, struct slu_rule *r)
{
	*r = (struct slu_rule){
		.proto = 6,
		.port_mask = 3,
		.tcp_zero = 7,
		.src = {10, 0, (uint8_t)(f >> 8), (uint8_t)f},
		.dst = {198, 18, 1, 100},
		.sport = (slu_be16)(1024 + f * 13),
		.dport = 0x5000,
		.actions = SLU_NIC_ACT_SET_SRC | SLU_NIC_ACT_SET_DST | SLU_NIC_ACT_SET_SPORT | SLU_NIC_ACT_SET_DPORT |
			   SLU_NIC_ACT_DEC_TTL | SLU_NIC_ACT_FORWARD | SLU_NIC_ACT_SET_DMAC | SLU_NIC_ACT_SET_SMAC |
			   SLU_NIC_ACT_COUNT,
		.new_src = {198, 18, 2, 100},
		.new_dst = {198, 18, 2, (uint8_t)(11 + f % 3)},
		.new_sport = (slu_be16)(5 + f * 7),
		.new_dport = 0x901F,
	};
}

static void make_frames(unsigned int f, const struct slu_rule *r, const struct slu_nic_next_hop *hop)
{
	static const uint8_t head[] = {2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, 8, 0, 0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 6};
	uint8_t *in = bench.in[f], *want = bench.want[f];
	uint8_t old_tuple[12], new_tuple[12];
	uint16_t csum, l3_delta, l4_delta;

	memset(in, 0, FRAME_BYTES);
	memcpy(in, head, sizeof(head));
	memcpy(in + 26, r->src, 4);
	memcpy(in + 30, r->dst, 4);
	memcpy(in + 34, &r->sport, 2);
	memcpy(in + 36, &r->dport, 2);
	in[46] = 0x50;
	in[47] = 0x10;
	memcpy(in + 54, &f, 4);
	csum = slu_checksum_final(slu_checksum_add(0, in + 14, 20));
	memcpy(in + 24, &csum, 2);
	csum = slu_checksum_final(
		slu_checksum_add(slu_checksum_add_pseudo(0, in + 26, in + 30, 4, 6, 26), in + 34, 26));
	memcpy(in + 50, &csum, 2);

	/* What must come out, by the agent's own editing. */
	memcpy(want, in, FRAME_BYTES);
	memcpy(old_tuple, in + 26, 12);
	memcpy(new_tuple, r->new_src, 4);
	memcpy(new_tuple + 4, r->new_dst, 4);
	memcpy(new_tuple + 8, &r->new_sport, 2);
	memcpy(new_tuple + 10, &r->new_dport, 2);
	slu_packet_edit_deltas(old_tuple, new_tuple, 4, &l3_delta, &l4_delta);
	slu_packet_edit_ipv4(want + 14, new_tuple, l3_delta);
	slu_packet_edit_tcp(want + 34, new_tuple + 8, l4_delta);
	memcpy(want, hop->dmac, 6);
	memcpy(want + 6, hop->smac, 6);
}

static void start(struct slu_nic_latency record)
{
	const struct slu_nic_next_hop hop = {
		.dmac = {2, 0, 0, 0, 1, 1}, .smac = {2, 0, 0, 0, 1, 2}, .flags = SLU_NIC_NH_VALID, .port = 1};
	struct card_config config = {
		.record = record, .counter = {200, 200}, .dma = {64, 64}, .seed = 7, .wire_tx = take};

	bench.card = card_create(&config);
	card_write_next_hop(bench.card, 3, &hop);
	for (unsigned int f = 0; f < bench.flows; f++) {
		struct slu_rule rule;
		int err;

		make_rule(f, &rule);
		make_frames(f, &rule, &hop);
		err = card_insert(bench.card, &rule, f, 3);
		if (err) {
			fprintf(stderr, "flow %u: %s\n", f, strerror(-err));
			exit(1);
		}
	}
}

static void send(unsigned int flow)
{
	bench.order[bench.sent++] = (uint16_t)flow;
	if (slu_nic_model_wire_rx(card_model(bench.card), 0, bench.in[flow], FRAME_BYTES, false)) {
		fprintf(stderr, "the model's wire is full\n");
		exit(1);
	}
}

static void run_load(const char *name, double *clocks_per_cpu_s)
{
	uint64_t clock = clocks_now();
	double cpu = cpu_now();
	unsigned int seed = 1;

	bench.sent = bench.arrived = bench.wrong = 0;
	while (bench.sent < bench.frames) {
		/* The wire never runs dry: the next chunk comes before the last one has gone. */
		for (unsigned int i = 0; i < CHUNK && bench.sent < bench.frames; i++)
			send((unsigned int)rand_r(&seed) % bench.flows);
		slu_nic_model_run(card_model(bench.card), bench.sent == CHUNK ? CHUNK / 2 : CHUNK);
	}
	if (!card_settle(bench.card, 2 * bench.frames))
		bench.wrong++;
	*clocks_per_cpu_s = (double)(clocks_now() - clock) / (cpu_now() - cpu);
	if (bench.arrived != bench.frames || bench.wrong) {
		fprintf(stderr, "%s: %u of %u frames arrived, %u wrong; wire FIFO dropped %llu\n", name, bench.arrived,
			bench.frames, bench.wrong,
			(unsigned long long)card_port_stat(bench.card, 0, SLU_NIC_STAT_RX_FIFO_DROP));
		exit(1);
	}
	printf("%s %.3f clocks\n", name, (double)(bench.last_clock - bench.first_clock) / (bench.frames - 1));
	fflush(stdout);
}

/* The statistics of the flows must add up to the frames. */
static void check_statistics(void)
{
	uint64_t packets = 0, bytes = 0;

	for (unsigned int f = 0; f < bench.flows; f++) {
		uint64_t p, b;

		card_flow_stats(bench.card, f, &p, &b);
		packets += p;
		bytes += b;
	}
	if (packets != bench.frames + PROBES || bytes != packets * FRAME_BYTES) {
		fprintf(stderr, "flow statistics: %llu packets, %llu bytes for %u frames\n",
			(unsigned long long)packets, (unsigned long long)bytes, bench.frames + PROBES);
		exit(1);
	}
}

/* Clock edges from the one that takes the frame's beat to the one that gives it away; the longest of some. */
static void run_latency(void)
{
	uint32_t longest = 0;

	for (unsigned int i = 0; i < PROBES; i++) {
		uint32_t clocks = 0;

		bench.sent = bench.arrived = bench.wrong = 0;
		send(i * 61 % bench.flows);
		/* This one only puts the beat on the wire. */
		slu_nic_model_run(card_model(bench.card), 1);
		while (!bench.arrived && clocks < 100000) {
			slu_nic_model_run(card_model(bench.card), 1);
			clocks++;
		}
		if (!bench.arrived || bench.wrong) {
			fprintf(stderr, "a single frame did not come through\n");
			exit(1);
		}
		/* The first of them took the beat. */
		if (clocks - 1 > longest)
			longest = clocks - 1;
		card_settle(bench.card, 10000);
	}
	printf("nic.hit_latency_clocks %u clocks\n", longest);
	fflush(stdout);
}

/* A number from the environment, or the usual one. */
static uint32_t setting(const char *name, uint32_t usual, uint32_t min, uint32_t max)
{
	const char *text = getenv(name);
	unsigned long value = text ? strtoul(text, NULL, 0) : usual;

	if (value >= min && value <= max)
		return (uint32_t)value;
	fprintf(stderr, "%s must be %u to %u\n", name, min, max);
	exit(2);
}

int main(void)
{
	double speed, unused;

	bench.flows = setting("FLOWS", FLOWS, 1, FLOWS_MAX);
	bench.frames = setting("FRAMES", FRAMES_MAX, 2 * CHUNK, FRAMES_MAX);
	start((struct slu_nic_latency){RECORD_CLOCKS, RECORD_CLOCKS});
	run_load("nic.clocks_per_frame_64B", &speed);
	run_latency();
	check_statistics();
	printf("nic.sim_clocks_per_cpu_s %.0f clocks/s\n", speed);
	card_destroy(bench.card);
	start((struct slu_nic_latency){REORDER_MIN_CLOCKS, REORDER_MAX_CLOCKS});
	run_load("nic.clocks_per_frame_64B_reordered", &unused);
	card_destroy(bench.card);
	return 0;
}
