/* A card behind a vfio-user socket, as hw_ops. */
#ifndef SLU_DRIVER_HW_VFIO_USER_H
#define SLU_DRIVER_HW_VFIO_USER_H

#include <stddef.h>

#include "hw_ops.h"

/*
 * Connects to the server at path and checks that it serves our card. The caller
 * closes hw with hw->ops->close. Returns 0 or -errno, with a sentence for
 * people in why.
 */
int slu_hw_vfio_user_open(const char *path, struct slu_hw *hw, char *why, size_t why_bytes);

#endif
