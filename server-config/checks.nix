# `nix flake check`: every example host evaluates to a system, and the VM tests run where there is /dev/kvm.
# Everything that needs no building is `npm run test:nix`.
{
  self,
  pkgs,
  disko,
}:
let
  inherit (pkgs) lib;
  hosts = lib.mapAttrs' (
    name: host: lib.nameValuePair "host-${name}" host.config.system.build.toplevel
  ) self.nixosConfigurations;
in
lib.optionalAttrs (pkgs.stdenv.hostPlatform.system == "x86_64-linux") (
  hosts // import ../test/nixos { inherit pkgs disko; }
)
