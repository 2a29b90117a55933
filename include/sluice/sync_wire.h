/*
 * Session sync on the wire: the sync protocol of Linux IPVS, versions 0 and 1, as
 * kernel 6.1 sends and takes it, and the parameters that Sluice adds to version 1.
 * docs/session-sync.md describes each field, and what is done with a wrong one.
 *
 * Everything is big-endian. Nothing is aligned: copy, do not cast.
 */
#ifndef SLUICE_SYNC_WIRE_H
#define SLUICE_SYNC_WIRE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/types.h"

#define SLU_SYNC_WIRE_PORT 8848
#define SLU_SYNC_WIRE_DATAGRAM_MAX 1472 /* what an Ethernet frame of 1,500 bytes carries */

/* ------------------------------------------------------------- version 1 */

struct slu_sync_wire_header {
	uint8_t reserved; /* 0: the count of version 0, so that its readers find nothing */
	uint8_t group;    /* syncid */
	slu_be16 size;    /* of the whole payload */
	uint8_t count;    /* sessions */
	uint8_t version;  /* 1 */
	slu_be16 spare;   /* 0 */
};
static_assert(sizeof(struct slu_sync_wire_header) == 8, "wire");

/*
 * The addresses follow: client, virtual, destination; 4 or 16 bytes each. Then parameters up to size. A session starts
 * at a multiple of four bytes.
 */
struct slu_sync_wire_session {
	uint8_t type; /* SLU_SYNC_WIRE_IPV6, or 0 */
	uint8_t protocol;
	slu_be16 version_size; /* 4 bits version, 0; 12 bits size, without padding */
	slu_be32 flags;
	slu_be16 state;
	slu_be16 client_port, virtual_port, destination_port;
	slu_be32 fwmark;
	slu_be32 timeout_s;
};
static_assert(sizeof(struct slu_sync_wire_session) == 24, "wire");
static_assert(offsetof(struct slu_sync_wire_session, client_port) == 10, "wire");

#define SLU_SYNC_WIRE_IPV6 0x01
#define SLU_SYNC_WIRE_SESSION4 36u /* sizes with addresses, without parameters */
#define SLU_SYNC_WIRE_SESSION6 72u
#define SLU_SYNC_WIRE_SIZE_MASK 0x0FFF

/* Flags. The lowest three bits are the forwarding method. */
#define SLU_SYNC_WIRE_METHOD 0x0007u
enum slu_sync_wire_method {
	SLU_SYNC_WIRE_NAT,
	SLU_SYNC_WIRE_LOCAL, /* the backend is the balancer itself */
	SLU_SYNC_WIRE_TUNNEL,
	SLU_SYNC_WIRE_ROUTE,
};
#define SLU_SYNC_WIRE_INACTIVE 0x0100u
#define SLU_SYNC_WIRE_SEQUENCE 0x0600u /* version 0: sequence data follows */
#define SLU_SYNC_WIRE_NO_CLIENT_PORT 0x0800u
#define SLU_SYNC_WIRE_TEMPLATE 0x1000u /* of persistence: no connection */

/* ------------------------------------------------------------- version 0 */

struct slu_sync_wire_header0 {
	uint8_t count;
	uint8_t group;
	slu_be16 size;
};
static_assert(sizeof(struct slu_sync_wire_header0) == 4, "wire");

/* IPv4 only, without time-out. 24 bytes of sequence data follow if the flags say so. */
struct slu_sync_wire_session0 {
	uint8_t reserved;
	uint8_t protocol;
	slu_be16 client_port, virtual_port, destination_port;
	uint8_t client[4], virtual_ip[4], destination[4];
	slu_be16 flags;
	slu_be16 state;
};
static_assert(sizeof(struct slu_sync_wire_session0) == 24, "wire");

#define SLU_SYNC_WIRE_SEQUENCE_BYTES 24u

/* ------------------------------------------------------------ parameters */

/* {type, length, data}; the length is that of data, never 0. */
#define SLU_SYNC_WIRE_PARAMETER 2u
/* In a type: whoever does not know it skips it. Without, he drops the session. */
#define SLU_SYNC_WIRE_OPTIONAL 0x40

enum slu_sync_wire_parameter_type {
	/* Of Linux. */
	SLU_SYNC_WIRE_SEQ_DATA = 1,
	SLU_SYNC_WIRE_PE_DATA = 2,
	SLU_SYNC_WIRE_PE_NAME = 3,
	/* Of Sluice. */
	SLU_SYNC_WIRE_EXTENSION = 0x30, /* mandatory where a kernel must not take the session, else optional */
	SLU_SYNC_WIRE_HEARTBEAT = 0x31, /* mandatory: the session is none */
	SLU_SYNC_WIRE_TEXT = 0x32,      /* mandatory: a piece of the text that a heartbeat carries */
	SLU_SYNC_WIRE_TRAILER = 0x33,   /* optional, the last parameter of the last session */
};
#define SLU_SYNC_WIRE_PE_NAME_MAX 16u

/*
 * What a session of Sluice has besides. A later revision adds fields at the end, and raises `revision`: a reader takes
 * those it knows, and for a field that is not there it takes the value that the document gives. A change that an older
 * reader must not overlook gets a mandatory parameter of its own.
 *
 * With SLU_SYNC_WIRE_FLAG_LOCAL the local address follows, 4 or 16 bytes; fields of later revisions come after it.
 * Revision 2: the life, 32 bits, of a whole session.
 */
struct slu_sync_wire_extension {
	uint8_t revision; /* the lowest that has all the fields that are there */
	uint8_t kind;     /* enum slu_sync_wire_kind */
	uint8_t mode;     /* enum slu_sync_wire_mode */
	uint8_t flags;
	slu_be16 version;
	slu_be16 local_port;
	slu_be32 creator_vpc; /* 8 bits node that created it, 24 bits tenant network */
	slu_be32 age_ms;
};
static_assert(sizeof(struct slu_sync_wire_extension) == 16, "wire");
#define SLU_SYNC_WIRE_REVISION 2
#define SLU_SYNC_WIRE_LIFE 4u /* bytes; seconds that a copy lives without a word of its owner */

enum slu_sync_wire_kind { SLU_SYNC_WIRE_WHOLE, SLU_SYNC_WIRE_REPORT, SLU_SYNC_WIRE_END, SLU_SYNC_WIRE_ASK };
enum slu_sync_wire_mode {
	SLU_SYNC_WIRE_MODE_FULLNAT,
	SLU_SYNC_WIRE_MODE_NAT,
	SLU_SYNC_WIRE_MODE_ROUTE,
	SLU_SYNC_WIRE_MODE_TUNNEL,
	SLU_SYNC_WIRE_MODE_SNAT,
	SLU_SYNC_WIRE_MODE_EIP,
};
#define SLU_SYNC_WIRE_FLAG_LOCAL 0x80 /* the backend sees a local address, not the client's */
#define SLU_SYNC_WIRE_FLAG_FIN_REQUEST 0x01
#define SLU_SYNC_WIRE_FLAG_FIN_REPLY 0x02
#define SLU_SYNC_WIRE_FLAG_RST 0x04

struct slu_sync_wire_heartbeat {
	uint8_t revision; /* the highest that this node reads */
	uint8_t flags;
	uint8_t speaks; /* since revision 2: what it writes; 1 where it is missing */
};
static_assert(sizeof(struct slu_sync_wire_heartbeat) == 3, "wire");
#define SLU_SYNC_WIRE_HEARTBEAT_MIN 2u /* bytes: that of revision 1 */
#define SLU_SYNC_WIRE_JOINED 0x01      /* the node has every session: it may be asked for them */

#define SLU_SYNC_WIRE_TEXT_PIECE 250u
#define SLU_SYNC_WIRE_TEXT_MAX 1024u

/* Who sent the datagram. With authentication the tag follows: HMAC-SHA-256 over the payload, the tag zero, cut. */
struct slu_sync_wire_trailer {
	uint8_t sender; /* 1..255 */
	uint8_t algorithm;
	uint8_t epoch[8], sequence[8];
};
static_assert(sizeof(struct slu_sync_wire_trailer) == 18, "wire");
enum slu_sync_wire_algorithm { SLU_SYNC_WIRE_UNSIGNED, SLU_SYNC_WIRE_HMAC_SHA256 };
#define SLU_SYNC_WIRE_TAG 16u

/* ------------------------------------------------- the stream between members */

/* First in both directions. */
struct slu_sync_wire_hello {
	uint8_t magic[8]; /* "SluSync1" */
	uint8_t revision; /* the highest that this node reads */
	uint8_t id;
	uint8_t group;
	uint8_t algorithm; /* of the frames' tags */
	uint8_t reserved[4];
	uint8_t nonce[16];
};
static_assert(sizeof(struct slu_sync_wire_hello) == 32, "wire");
#define SLU_SYNC_WIRE_MAGIC "SluSync1"

/* The payload follows, then the tag if there is an algorithm. */
struct slu_sync_wire_frame {
	slu_be32 bytes; /* of the payload */
	uint8_t type;
	uint8_t reserved[3];
};
static_assert(sizeof(struct slu_sync_wire_frame) == 8, "wire");

enum slu_sync_wire_frame_type {
	SLU_SYNC_WIRE_REQUEST = 1,  /* struct slu_sync_wire_request, from who connected */
	SLU_SYNC_WIRE_SENDERS = 2,  /* struct slu_sync_wire_sender, several */
	SLU_SYNC_WIRE_SESSIONS = 3, /* a message of version 1 without trailer, of up to 65,535 bytes */
	SLU_SYNC_WIRE_DONE = 4,     /* nothing: all that was asked for has been sent */
};

struct slu_sync_wire_request {
	uint8_t epoch[8], from[8]; /* what was sent from this sequence on; from 0, or another epoch: every session */
};
static_assert(sizeof(struct slu_sync_wire_request) == 16, "wire");

/* How far the answering node has seen another one. */
struct slu_sync_wire_sender {
	uint8_t id;
	uint8_t epoch[8], sequence[8];
};
static_assert(sizeof(struct slu_sync_wire_sender) == 17, "wire");

#endif
