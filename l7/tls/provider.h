/*
 * The OpenSSL provider whose private keys are held by key servers. It is built in,
 * and stands beside the default provider: only keys made by slu_remote_key_create()
 * come to it.
 */
#ifndef SLU_L7_PROVIDER_H
#define SLU_L7_PROVIDER_H

#define SLU_PROVIDER_NAME "sluice"
#define SLU_PROVIDER_PROPERTY "provider=sluice"

/* Makes the provider known to OpenSSL, once a process. Returns 0 or -ENOMEM. */
int slu_provider_load(void);

#endif
