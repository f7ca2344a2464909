# An option for a file that is on the host (a key, a password, a certificate) and never in the Nix store, which every user can
# read. Evaluation never opens it.
{ lib }:
description:
lib.mkOption {
  type = lib.types.nullOr lib.types.externalPath;
  default = null;
  inherit description;
}
