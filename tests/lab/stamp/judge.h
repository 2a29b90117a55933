/*
 * Who counts, and who is lost. A subject is one TCP connection or UDP flow.
 *
 * It counts once three of its data packets were confirmed by the other end and 50 ms
 * passed, with nothing told from outside in between:
 * - a fault, told just before it is made: who does not count yet begins anew;
 * - a cut of the sync network: who does not count yet, or is born until the heal, is
 *   apart. It counts, as resynced, a second after the heal at the earliest.
 * Lost is a reset, silence of 5 s, a wrong byte, an end too early, another server.
 */
#ifndef SLU_TESTS_LAB_STAMP_JUDGE_H
#define SLU_TESTS_LAB_STAMP_JUDGE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define STAMP_PACKETS 3u
#define STAMP_SETTLE_US 50000u
#define STAMP_RESYNC_US 1000000u
#define STAMP_STALL_US 5000000u

enum stamp_protocol { STAMP_TCP, STAMP_UDP, STAMP_PROTOCOLS };

enum stamp_loss {
	STAMP_RESET,  /* or any other error of the socket */
	STAMP_STALL,  /* 5 s without a byte, or without a byte taken by the other end */
	STAMP_WRONG,  /* a byte that is not the stream's */
	STAMP_SHORT,  /* an end before all bytes were there */
	STAMP_SERVER, /* a flow's answers come from another server */
	STAMP_LOSSES
};

/* Embedded in a connection or flow, which zeroes it. */
struct stamp_subject {
	struct stamp_subject *prev, *next;
	uint64_t id;
	enum stamp_protocol protocol;
	uint32_t target;        /* its place on the command line, from 0 */
	char local[64];         /* address and port */
	uint32_t server;        /* who answers; 0: nobody yet */
	bool live, established; /* the other end has spoken */
	bool counts, apart;
	uint64_t epoch;   /* of the judge, when packets was 0 */
	uint64_t packets; /* data packets sent since then */
	uint64_t goal;    /* confirmed up to here: three packets */
	uint64_t goal_us; /* when that was seen; 0: not yet */
	uint64_t opened_us, heard_us, gap_us;
	uint64_t sent, received; /* bytes */
};

void stamp_judge_open(struct stamp_subject *subject);
/* A data packet was sent; the stream's end is now at offset. */
void stamp_judge_sent(struct stamp_subject *subject, uint64_t offset);
/* The other end has everything before offset. Call it at least each 50 ms while the subject does not count. */
void stamp_judge_confirmed(struct stamp_subject *subject, uint64_t offset);
void stamp_judge_heard(struct stamp_subject *subject);
/* One direction was silent for so long: of the client's bytes the acknowledgements tell. */
void stamp_judge_gap(struct stamp_subject *subject, uint64_t us);
/* One of the two ends a subject. text says more, for the log. */
void stamp_judge_lost(struct stamp_subject *subject, enum stamp_loss loss, const char *text);
void stamp_judge_ended(struct stamp_subject *subject);

/* Told from outside. */
void stamp_judge_fault(const char *name);
void stamp_judge_cut(void);
void stamp_judge_healed(void);

/* For the report. */
struct stamp_tally {
	uint64_t opened, established, live;
	uint64_t counted, resynced;                /* resynced: counted of those that were apart */
	uint64_t ended;                            /* in order, counted or not */
	uint64_t lost[STAMP_LOSSES];               /* of those that counted: each is an offence */
	uint64_t young_lost;                       /* did not count yet */
	uint64_t apart, apart_lost, resynced_lost; /* apart_lost: before they counted; resynced_lost: part of lost */
	uint64_t longest_gap_us;                   /* of those that counted */
	uint64_t gaps_1s;                          /* subjects with a gap of more than 1 s */
	uint64_t sent, received;
};
void stamp_judge_tally(enum stamp_protocol protocol, uint32_t target, struct stamp_tally *tally);
uint64_t stamp_judge_lost_of(const struct stamp_tally *tally); /* whatever the kind */
uint64_t stamp_judge_lost_total(void);
uint64_t stamp_judge_counted_total(void);
/* The longest gap since the last fault, those that are not over included. */
uint64_t stamp_judge_gap_us(void);

/* A JSON array each: faults with the longest gap after each; the first offences; who is there now. */
void stamp_judge_print_faults(FILE *out);
void stamp_judge_print_offences(FILE *out);
void stamp_judge_print_live(FILE *out);

/* A line of JSON for each subject at its end. NULL: none. */
void stamp_judge_log(FILE *log);

#endif
