#include "tests/lab/stamp/report.h"

#include "tests/lab/stamp/client.h"
#include "tests/lab/stamp/judge.h"
#include "tests/lab/stamp/loop.h"

static void add(struct stamp_tally *sum, const struct stamp_tally *t)
{
	uint32_t i;

	sum->opened += t->opened;
	sum->established += t->established;
	sum->live += t->live;
	sum->counted += t->counted;
	sum->resynced += t->resynced;
	sum->ended += t->ended;
	for (i = 0; i < STAMP_LOSSES; i++)
		sum->lost[i] += t->lost[i];
	sum->young_lost += t->young_lost;
	sum->apart += t->apart;
	sum->apart_lost += t->apart_lost;
	sum->resynced_lost += t->resynced_lost;
	if (t->longest_gap_us > sum->longest_gap_us)
		sum->longest_gap_us = t->longest_gap_us;
	sum->gaps_1s += t->gaps_1s;
	sum->sent += t->sent;
	sum->received += t->received;
}

static struct stamp_tally sum_of(enum stamp_protocol protocol, uint32_t target_count)
{
	struct stamp_tally sum = {0}, t;
	uint32_t i;

	for (i = 0; i < target_count; i++) {
		stamp_judge_tally(protocol, i, &t);
		add(&sum, &t);
	}
	return sum;
}

static void print_tally(FILE *out, const struct stamp_tally *t)
{
	fprintf(out,
		"\"opened\": %llu, \"established\": %llu, \"live\": %llu, \"ended\": %llu, \"counted\": %llu, "
		"\"lost\": %llu, "
		"\"reset\": %llu, \"stall\": %llu, \"wrong\": %llu, \"short\": %llu, \"server\": %llu, \"young_lost\": "
		"%llu, "
		"\"apart\": %llu, \"apart_lost\": %llu, \"resynced\": %llu, \"resynced_lost\": %llu, "
		"\"longest_gap_ms\": %llu, \"gaps_over_1s\": %llu, \"sent\": %llu, \"received\": %llu",
		(unsigned long long)t->opened, (unsigned long long)t->established, (unsigned long long)t->live,
		(unsigned long long)t->ended, (unsigned long long)t->counted,
		(unsigned long long)stamp_judge_lost_of(t), (unsigned long long)t->lost[STAMP_RESET],
		(unsigned long long)t->lost[STAMP_STALL], (unsigned long long)t->lost[STAMP_WRONG],
		(unsigned long long)t->lost[STAMP_SHORT], (unsigned long long)t->lost[STAMP_SERVER],
		(unsigned long long)t->young_lost, (unsigned long long)t->apart, (unsigned long long)t->apart_lost,
		(unsigned long long)t->resynced, (unsigned long long)t->resynced_lost,
		(unsigned long long)t->longest_gap_us / 1000, (unsigned long long)t->gaps_1s,
		(unsigned long long)t->sent, (unsigned long long)t->received);
}

void stamp_report_json(FILE *out, uint32_t target_count)
{
	struct stamp_tally tcp = sum_of(STAMP_TCP, target_count), udp = sum_of(STAMP_UDP, target_count), t;
	struct stamp_client_udp figures;
	const char *comma = "";
	uint32_t i, p;

	stamp_client_udp(&figures);
	fprintf(out, "{\"ok\": %s, \"tcp\": {", stamp_report_status(target_count) == 0 ? "true" : "false");
	print_tally(out, &tcp);
	fprintf(out, ", \"failed_connects\": %llu}, \"udp\": {", (unsigned long long)stamp_client_failed_connects());
	print_tally(out, &udp);
	fprintf(out,
		", \"requests\": %llu, \"answers\": %llu, \"late\": %llu, \"twice\": %llu, \"moved\": "
		"%llu},\n\"targets\": [",
		(unsigned long long)figures.requests, (unsigned long long)figures.answers,
		(unsigned long long)figures.late, (unsigned long long)figures.twice, (unsigned long long)figures.moved);
	for (i = 0; i < target_count; i++)
		for (p = 0; p < STAMP_PROTOCOLS; p++) {
			stamp_judge_tally(p, i, &t);
			if (t.opened == 0)
				continue;
			fprintf(out, "%s{\"target\": %u, ", comma, i);
			print_tally(out, &t);
			fprintf(out, "}");
			comma = ", ";
		}
	fprintf(out, "],\n\"gap_since_fault_ms\": %llu, \"own_delay_ms\": %llu, \"faults\": ",
		(unsigned long long)stamp_judge_gap_us() / 1000, (unsigned long long)stamp_loop_late_us() / 1000);
	stamp_judge_print_faults(out);
	fprintf(out, ",\n\"offences\": ");
	stamp_judge_print_offences(out);
	fprintf(out, "}\n");
}

static void print_words(FILE *out, enum stamp_protocol protocol, const struct stamp_tally *t)
{
	fprintf(out, "%s: %llu counted, %llu lost (%llu stalled, %llu wrong, ", protocol == STAMP_TCP ? "tcp" : "udp",
		(unsigned long long)t->counted, (unsigned long long)stamp_judge_lost_of(t),
		(unsigned long long)t->lost[STAMP_STALL], (unsigned long long)t->lost[STAMP_WRONG]);
	if (protocol == STAMP_TCP)
		fprintf(out, "%llu reset, %llu cut short", (unsigned long long)t->lost[STAMP_RESET],
			(unsigned long long)t->lost[STAMP_SHORT]);
	else
		fprintf(out, "%llu on another server", (unsigned long long)t->lost[STAMP_SERVER]);
	fprintf(out, "), longest gap %llu ms", (unsigned long long)t->longest_gap_us / 1000);
}

void stamp_report_text(FILE *out, uint32_t target_count)
{
	struct stamp_tally tcp = sum_of(STAMP_TCP, target_count), udp = sum_of(STAMP_UDP, target_count);

	fprintf(out, "stamp: ");
	if (tcp.opened > 0 || udp.opened == 0)
		print_words(out, STAMP_TCP, &tcp);
	if (tcp.opened > 0 && udp.opened > 0)
		fprintf(out, "; ");
	if (udp.opened > 0)
		print_words(out, STAMP_UDP, &udp);
	if (tcp.apart + udp.apart > 0)
		fprintf(out, "; %llu apart, %llu of them resynced", (unsigned long long)(tcp.apart + udp.apart),
			(unsigned long long)(tcp.resynced + udp.resynced));
	fprintf(out, "\n");
	fflush(out);
}

int stamp_report_status(uint32_t target_count)
{
	struct stamp_tally tcp, udp;
	uint32_t i;

	if (stamp_judge_lost_total() > 0)
		return 1;
	for (i = 0; i < target_count; i++) {
		stamp_judge_tally(STAMP_TCP, i, &tcp);
		stamp_judge_tally(STAMP_UDP, i, &udp);
		if (tcp.counted + udp.counted == 0)
			return 3;
	}
	return 0;
}
