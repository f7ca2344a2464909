# server-config/guest with its nixpkgs named and locked: the tree that the host itself is made of. So containers share the
# host's store paths, building one fetches no other nixpkgs, and a host that was upgraded builds upgraded containers.
{
  lib,
  runCommand,
  writeText,
  # { path, narHash, lastModified } of a nixpkgs in the Nix store
  nixpkgs,
  # Address at which containers of this host find their resolver.
  resolver,
}:
let
  folder = ../guest;
  url = "github:NixOS/nixpkgs/nixos-26.05";
  flake = builtins.readFile (folder + "/flake.nix");
  source = {
    type = "path";
    inherit (nixpkgs) path;
  };
  lock = builtins.toJSON {
    version = 7;
    root = "root";
    nodes = {
      root.inputs.nixpkgs = "nixpkgs";
      nixpkgs = {
        original = source;
        locked = source // {
          inherit (nixpkgs) narHash lastModified;
        };
      };
    };
  };
in
assert lib.assertMsg (lib.hasInfix url flake) "server-config/guest/flake.nix names another nixpkgs than ${url}; packages/guest-folder.nix replaces it by that text";
runCommand "berth-guest" { } ''
  cp -r ${folder} $out
  chmod -R u+w $out
  cp ${writeText "flake.nix" (lib.replaceStrings [ url ] [ "path:${nixpkgs.path}" ] flake)} $out/flake.nix
  cp ${writeText "flake.lock" lock} $out/flake.lock
  cp ${writeText "site.json" (builtins.toJSON { inherit resolver; })} $out/site.json
''
