/*
 * Signing by a key that a key server holds: the SIGNATURE operations of the provider.
 * It signs what a TLS handshake signs, and nothing else (statement.h).
 */
#ifndef SLU_L7_REMOTE_SIGNATURE_H
#define SLU_L7_REMOTE_SIGNATURE_H

#include <openssl/core.h>

extern const OSSL_ALGORITHM slu_remote_signature_algorithms[];

#endif
