#pragma once
// GNU extensions of posix_spawn(3) that Swift's Glibc module hides: it is compiled without _GNU_SOURCE.
#include <spawn.h>

/// posix_spawn_file_actions_addclosefrom_np: the child closes every descriptor from `from` on. Returns an errno value.
int clinux_spawn_close_from(posix_spawn_file_actions_t *actions, int from);

/// posix_spawn_file_actions_addchdir_np: the child changes its working directory. Returns an errno value.
int clinux_spawn_change_directory(posix_spawn_file_actions_t *actions, const char *path);

/// posix_spawnattr_setflags with POSIX_SPAWN_SETSID: the child leads a session of its own. Returns an errno value.
int clinux_spawn_new_session(posix_spawnattr_t *attributes);
