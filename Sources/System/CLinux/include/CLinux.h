#pragma once
// Linux calls that Swift's Glibc overlay does not import.
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include "CLinuxSpawn.h"
