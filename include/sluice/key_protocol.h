/*
 * The key protocol on the wire: what a Layer-7 node asks of the key server over mutual
 * TLS 1.3. docs/key-protocol.md says what each message means, and what is done with a wrong one.
 *
 * Everything is big-endian. Nothing is aligned: copy, do not cast.
 */
#ifndef SLUICE_KEY_PROTOCOL_H
#define SLUICE_KEY_PROTOCOL_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/types.h"

#define SLU_KEY_ALPN "sluice-key" /* a TLS connection without it is refused (RFC 7301) */
#define SLU_KEY_PORT 7443
#define SLU_KEY_VERSION 1

/* ---------------------------------------------------------------- frames */

/* The body follows: fields, in rising order of their types. */
struct slu_key_frame {
	slu_be32 bytes;    /* of the body, at most SLU_KEY_BODY_MAX */
	uint8_t type;      /* enum slu_key_operation; SLU_KEY_ANSWER is set in answers */
	uint8_t status;    /* enum slu_key_status; 0 in requests */
	slu_be16 reserved; /* 0 */
	uint8_t id[8];     /* of the request: rises with every one of a connection */
};
static_assert(sizeof(struct slu_key_frame) == 16, "wire");
static_assert(offsetof(struct slu_key_frame, id) == 8, "wire");

#define SLU_KEY_BODY_MAX 131072u
#define SLU_KEY_FRAME_MAX (sizeof(struct slu_key_frame) + SLU_KEY_BODY_MAX)
#define SLU_KEY_ANSWER 0x80

enum slu_key_operation {
	SLU_KEY_FATAL = 0, /* only as an answer, of id 0: the connection ends behind it */
	SLU_KEY_HELLO = 1,
	SLU_KEY_LIST = 2,
	SLU_KEY_TLS13_CERT_VERIFY = 3,
	SLU_KEY_TLS12_SERVER_KEY_EXCHANGE = 4,
	SLU_KEY_TLS12_RSA_PREMASTER = 5,
	SLU_KEY_TLS12_CLIENT_CERT_VERIFY = 6,
	SLU_KEY_TICKET_KEYS = 7,
	SLU_KEY_CERTIFICATE_CHECK = 8,
	SLU_KEY_CHAIN_VERIFY = 9,
	SLU_KEY_PING = 10,
	SLU_KEY_STATS = 11,
	SLU_KEY_OPERATIONS
};

enum slu_key_status {
	SLU_KEY_OK = 0,
	SLU_KEY_BAD_MESSAGE = 1,       /* fields missing, doubled, unknown, of wrong size or order */
	SLU_KEY_UNKNOWN_OPERATION = 2, /* not of this version */
	SLU_KEY_UNKNOWN_KEY = 3,       /* no such key, or not for this client: which of both is not told */
	SLU_KEY_REFUSED = 4,           /* this client, or this key, is not for this operation */
	SLU_KEY_BAD_SCHEME = 5,        /* the scheme does not fit the key or the operation */
	SLU_KEY_BAD_CONTENT = 6,       /* what is to be signed, decrypted or checked is not what TLS has there */
	SLU_KEY_MISMATCH = 7,          /* certificate, chain and key do not belong together; text says why */
	SLU_KEY_LIMITED = 8,           /* more a second than this client or key may */
	SLU_KEY_BUSY = 9,              /* too much in flight: ask another server, or later */
	SLU_KEY_FAILED = 10,           /* the operation failed here: ask another server */
	SLU_KEY_BAD_VERSION = 11,      /* none of the client's versions is spoken here */
	SLU_KEY_BAD_FRAME = 12,        /* no frame, overlong, or out of order */
	SLU_KEY_STATUSES
};

/* ---------------------------------------------------------------- fields */

/* {type, length of the data}, then the data. */
struct slu_key_field_header {
	uint8_t type; /* enum slu_key_field */
	uint8_t bytes[3];
};
static_assert(sizeof(struct slu_key_field_header) == 4, "wire");

/*
 * In a type: whoever does not know the field skips it. Without, he refuses the message. Fields with this bit come
 * last, because types rise.
 */
#define SLU_KEY_OPTIONAL 0x80

enum slu_key_field {
	SLU_KEY_VERSION_MIN = 1,      /* 2 bytes */
	SLU_KEY_VERSION_MAX = 2,      /* 2 */
	SLU_KEY_VERSION_CHOSEN = 3,   /* 2 */
	SLU_KEY_NAME = 4,             /* 1 to 64 of printable ASCII */
	SLU_KEY_OPERATIONS_MASK = 5,  /* 4: bit n is operation n */
	SLU_KEY_IN_FLIGHT = 6,        /* 4 */
	SLU_KEY_GENERATION = 7,       /* 8 */
	SLU_KEY_ID = 8,               /* 32 */
	SLU_KEY_ENTRIES = 9,          /* struct slu_key_entry, several */
	SLU_KEY_MORE = 10,            /* none: there are further entries */
	SLU_KEY_SCHEME = 11,          /* 2: SignatureScheme of RFC 8446, section 4.2.3 */
	SLU_KEY_ROLE = 12,            /* 1: enum slu_key_role */
	SLU_KEY_TRANSCRIPT_HASH = 13, /* 32 or 48 */
	SLU_KEY_CLIENT_RANDOM = 14,   /* 32 */
	SLU_KEY_SERVER_RANDOM = 15,   /* 32 */
	SLU_KEY_PARAMETERS = 16,      /* ServerECDHParams of RFC 8422, section 5.4 */
	SLU_KEY_CLIENT_VERSION = 17,  /* 2: of the ClientHello */
	SLU_KEY_ENCRYPTED = 18,       /* as long as the key's modulus */
	SLU_KEY_TRANSCRIPT = 19,      /* 4 to 65,536: handshake messages, as in RFC 5246, section 7.4.8 */
	SLU_KEY_SIGNATURE = 20,       /* as TLS carries it */
	SLU_KEY_PREMASTER = 21,       /* 48 */
	SLU_KEY_TICKETS = 22,         /* struct slu_key_ticket, several */
	SLU_KEY_REFRESH_S = 23,       /* 4 */
	SLU_KEY_CERTIFICATES = 24,    /* {3 bytes length, DER}, several; the leaf first */
	SLU_KEY_ANCHORS = 25,         /* the same, in any order */
	SLU_KEY_ECHO = 26,            /* 0 to 64 */
	SLU_KEY_TEXT = 27,            /* UTF-8 for people, without line ends but in statistics */
	SLU_KEY_FIELDS
};

#define SLU_KEY_ID_BYTES 32u /* SHA-256 of the SubjectPublicKeyInfo */
#define SLU_KEY_NAME_MAX 64u
#define SLU_KEY_RANDOM_BYTES 32u
#define SLU_KEY_PREMASTER_BYTES 48u
#define SLU_KEY_TRANSCRIPT_MAX 65536u
#define SLU_KEY_SIGNATURE_MAX 1024u /* RSA of 8,192 bits */
#define SLU_KEY_CERTIFICATES_MAX 61440u
#define SLU_KEY_ECHO_MAX 64u
#define SLU_KEY_LIST_MAX 1024u /* entries of one answer */
#define SLU_KEY_TICKETS_MAX 16u

enum slu_key_role { SLU_KEY_SERVER = 1, SLU_KEY_CLIENT = 2 };

enum slu_key_algorithm { SLU_KEY_RSA = 1, SLU_KEY_EC_P256 = 2, SLU_KEY_EC_P384 = 3, SLU_KEY_ED25519 = 4 };

/* What a key may be used for, by this client. */
#define SLU_KEY_USE_SERVER 0x01
#define SLU_KEY_USE_CLIENT 0x02
#define SLU_KEY_USE_PREMASTER 0x04

struct slu_key_entry {
	uint8_t id[SLU_KEY_ID_BYTES];
	uint8_t algorithm; /* enum slu_key_algorithm */
	uint8_t uses;      /* SLU_KEY_USE_*, at least one */
	slu_be16 bits;     /* of the modulus, or of the curve */
};
static_assert(sizeof(struct slu_key_entry) == 36, "wire");

/* Times are seconds since 1970 (POSIX). */
struct slu_key_ticket {
	uint8_t name[16];
	uint8_t cipher_key[32];                   /* AES-256 */
	uint8_t mac_key[32];                      /* HMAC-SHA-256 */
	slu_be64 encrypt_from_s, encrypt_until_s; /* [from, until) */
	slu_be64 decrypt_until_s;
};
static_assert(sizeof(struct slu_key_ticket) == 104, "wire");

#endif
