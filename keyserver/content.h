/*
 * What TLS has signed: built from its parts, or judged when it comes whole. Pure. That a key
 * signs nothing but TLS rests on this file.
 */
#ifndef SLU_KEYSERVER_CONTENT_H
#define SLU_KEYSERVER_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/key_protocol.h"

#define SLU_CONTENT_CERT_VERIFY_MAX 160u

/*
 * The content of a CertificateVerify of TLS 1.3 (RFC 8446, section 4.4.3), of a hash of 32 or 48 bytes. Returns its
 * size, 0 if there is no such role.
 */
size_t slu_content_cert_verify(uint8_t role, const uint8_t *hash, size_t hash_bytes, uint8_t *content);

/* Whether these are ServerECDHParams (RFC 8422, section 5.4) of a curve that is in use, and nothing else. */
bool slu_content_is_parameters(const uint8_t *bytes, size_t count);

/*
 * Whether these are the handshake messages, whole, from ClientHello to ClientKeyExchange, of a TLS 1.2 handshake in
 * which the server asked for a certificate (RFC 5246, sections 7.3 and 7.4.8).
 */
bool slu_content_is_transcript(const uint8_t *bytes, size_t count);

#endif
