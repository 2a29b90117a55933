/*
 * Datagrams of session sync: records to bytes and back (include/sluice/sync_wire.h).
 * Pure: no sockets, no memory of its own.
 *
 * The reader does with every datagram what Linux 6.1 does (net/netfilter/ipvs), Sluice's
 * own parameters aside, which a kernel does not know: docs/session-sync.md has the table.
 */
#ifndef SLU_HOST_SYNC_CODEC_H
#define SLU_HOST_SYNC_CODEC_H

#include <stdbool.h>
#include <stdint.h>

#include "host/dataplane/sync_record.h"
#include "sluice/sync_wire.h"

#define SLU_CODEC_RECORDS_MAX 255u /* the count is a byte */
#define SLU_CODEC_TRAILER_ROOM                                                                                         \
	(SLU_SYNC_WIRE_PARAMETER + (uint32_t)sizeof(struct slu_sync_wire_trailer) + SLU_SYNC_WIRE_TAG)

/* Who sent a datagram. */
struct slu_codec_trailer {
	uint8_t sender;
	uint8_t algorithm; /* enum slu_sync_wire_algorithm */
	uint64_t epoch, sequence;
};

/* ---------------------------------------------------------------- writing */

/* A datagram being written into the caller's memory. Opaque. */
struct slu_codec_writer {
	uint8_t *bytes;
	uint32_t room, used;
	uint32_t last; /* offset of the last session */
	uint8_t group, count;
	uint8_t revision; /* that a reader needs for all of it */
};

/*
 * Starts an empty datagram of at most room bytes (80 to 65,535), of which SLU_CODEC_TRAILER_ROOM are kept for the
 * trailer. bytes stays the caller's.
 */
void slu_codec_begin(struct slu_codec_writer *w, uint8_t *bytes, uint32_t room, uint8_t group);

/*
 * Adds a session, in a revision of our parameters that its readers know; 0: as Linux tells it, without any.
 *
 * Returns 0; -ENOSPC: no room, end this datagram and begin another; -ENOTSUP: this record cannot be told without
 * extensions; -EINVAL: no such family, mode or kind. Nothing was written then.
 */
int slu_codec_add(struct slu_codec_writer *w, const struct slu_sync_record *record, uint8_t revision);

/* Adds the session that is none, as the datagram's only one. text_bytes at most SLU_SYNC_WIRE_TEXT_MAX. Returns 0 or
 * -ENOSPC. */
int slu_codec_add_heartbeat(struct slu_codec_writer *w, const struct slu_sync_wire_heartbeat *heartbeat,
	const void *text, uint32_t text_bytes);

/*
 * Ends a datagram that has a session; trailer NULL: without one, as Linux. With an algorithm the tag is the last
 * SLU_SYNC_WIRE_TAG bytes, zero as yet. Returns the datagram's bytes.
 */
uint32_t slu_codec_end(struct slu_codec_writer *w, const struct slu_codec_trailer *trailer);

/* ---------------------------------------------------------------- reading */

enum slu_codec_verdict {
	SLU_CODEC_TAKEN,
	/* The datagram is ignored. */
	SLU_CODEC_SHORT, /* no header */
	SLU_CODEC_SIZE,  /* the size is not the payload's */
	SLU_CODEC_GROUP, /* of another group */
	/* The rest of the datagram is dropped; the sessions before stay taken. */
	SLU_CODEC_CUT_END,       /* a session reaches behind the end */
	SLU_CODEC_CUT_SIZE,      /* a session is smaller than its fields */
	SLU_CODEC_CUT_VERSION,   /* a session's version is not 0 */
	SLU_CODEC_CUT_TYPE,      /* neither IPv4 nor IPv6 */
	SLU_CODEC_CUT_PARAMETER, /* a parameter without data, overlong, of wrong length, or there twice */
	/* This session is dropped. */
	SLU_CODEC_DROP_PARAMETER, /* unknown and mandatory */
	SLU_CODEC_DROP_PROTOCOL,  /* none that IPVS knows */
	SLU_CODEC_DROP_STATE,     /* out of the protocol's range */
	SLU_CODEC_DROP_ENGINE,    /* persistence data without a known engine */
	SLU_CODEC_DROP_EXTENSION, /* our own parameter is malformed */
	/* This session is sound, but nothing for a data plane of ours. */
	SLU_CODEC_SKIP_TEMPLATE, /* of persistence */
	SLU_CODEC_SKIP_METHOD,   /* local delivery, bypass */
	SLU_CODEC_SKIP_PORT,     /* the client's port is not known yet: it waits for FTP's data connection */
	SLU_CODEC_VERDICTS
};

const char *slu_codec_verdict_name(enum slu_codec_verdict verdict); /* a word */

struct slu_codec_datagram {
	enum slu_codec_verdict verdict;     /* TAKEN, or why the datagram or its rest was not */
	uint8_t version;                    /* of the protocol: 0 or 1 */
	uint16_t count[SLU_CODEC_VERDICTS]; /* sessions by verdict; a cut counts once */
	bool has_trailer, has_heartbeat;
	uint8_t revision; /* the newest of its extensions; 0: there are none */
	struct slu_codec_trailer trailer;
	struct slu_sync_wire_heartbeat heartbeat;
	uint16_t text_bytes;
	uint8_t text[SLU_SYNC_WIRE_TEXT_MAX];
	uint32_t record_count;
	struct slu_sync_record records[SLU_CODEC_RECORDS_MAX];
};

/* Reads a datagram for a node of this group; group 0 takes those of all, as Linux. Any bytes may be given. */
void slu_codec_read(const uint8_t *bytes, uint32_t count, uint8_t group, struct slu_codec_datagram *out);

/* What slu_codec_read() says of a datagram before it looks at sessions: TAKEN, SHORT, SIZE or GROUP. */
enum slu_codec_verdict slu_codec_judge_header(const uint8_t *bytes, uint32_t count, uint8_t group);

/*
 * Finds the trailer of a datagram that nobody has verified yet, without reading the rest: only where our writers put
 * it. Returns false if there is none there.
 */
bool slu_codec_find_trailer(const uint8_t *bytes, uint32_t count, struct slu_codec_trailer *trailer);

#endif
