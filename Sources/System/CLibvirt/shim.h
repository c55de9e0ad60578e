#ifndef MEDCLOUD_CLIBVIRT_SHIM_H
#define MEDCLOUD_CLIBVIRT_SHIM_H

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#endif
