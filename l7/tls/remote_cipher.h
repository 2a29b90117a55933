/*
 * The premaster secret of a TLS 1.2 RSA key exchange, decrypted by a key server: the
 * ASYM_CIPHER operations of the provider. Nothing else is decrypted.
 */
#ifndef SLU_L7_REMOTE_CIPHER_H
#define SLU_L7_REMOTE_CIPHER_H

#include <openssl/core.h>

extern const OSSL_ALGORITHM slu_remote_cipher_algorithms[];

#endif
