/*
 * What a TLS handshake wants signed, taken apart again. OpenSSL hands a provider
 * the whole text, not its digest; a key server signs no text of others' making, so
 * the parts that it builds such a text from are found here.
 */
#ifndef SLU_L7_STATEMENT_H
#define SLU_L7_STATEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLU_STATEMENT_RANDOM_BYTES 32

enum slu_statement_kind {
	SLU_STATEMENT_CERT_VERIFY_13,      /* body: transcript hash, 32 or 48 bytes (RFC 8446, 4.4.3) */
	SLU_STATEMENT_KEY_EXCHANGE_12,     /* body: ServerECDHParams (RFC 8422, 5.4) */
	SLU_STATEMENT_CLIENT_TRANSCRIPT_12 /* body: handshake messages from ClientHello on (RFC 5246, 7.4.8) */
};

/* Points into the text that was read. */
struct slu_statement {
	enum slu_statement_kind kind;
	const uint8_t *client_random, *server_random; /* [SLU_STATEMENT_RANDOM_BYTES], KEY_EXCHANGE_12 alone */
	const uint8_t *body;
	size_t body_bytes;
};

/*
 * Takes apart what this side of a handshake of TLS 1.3 (`is_tls13`) or 1.2 signs.
 *
 * Returns 0; -EBADMSG if the text is none that this side signs in this version:
 * then it must not be signed, and statement is unchanged.
 */
int slu_statement_read(
	const uint8_t *text, size_t bytes, bool is_tls13, bool is_client, struct slu_statement *statement);

#endif
