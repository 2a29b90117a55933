/*
 * The server's own end of TLS: mutual, version 1.3 only, no early data, no resumption; and
 * who the client is by its certificate.
 */
#ifndef SLU_KEYSERVER_SERVER_TLS_H
#define SLU_KEYSERVER_SERVER_TLS_H

#include <stdio.h>

#include <openssl/ssl.h>

#include "keyserver/settings.h"

#define SLU_SERVER_TLS_IDENTITY_BYTES 512

/* Returns 0 and a context that SSL_CTX_free() frees; -EINVAL with a line in errors. */
int slu_server_tls_new(const struct slu_settings *settings, SSL_CTX **context, FILE *errors);

/*
 * The identity of the client of a finished handshake: the only URI of its subjectAltName, or "CN=" and its only common
 * name if it has no URI. Returns 0; -EACCES with *why, a constant text, if it has none, or did not ask for the
 * protocol.
 */
int slu_server_tls_identity(SSL *ssl, char identity[SLU_SERVER_TLS_IDENTITY_BYTES], const char **why);

#endif
