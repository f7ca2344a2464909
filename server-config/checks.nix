# `nix flake check`: every example host evaluates to a system. The rest is `npm run test:nix`.
{ self, pkgs, ... }:
pkgs.lib.mapAttrs (_: host: host.config.system.build.toplevel) self.nixosConfigurations
