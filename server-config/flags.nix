# Turns the table of defaults.nix into options: berth.<path>.
{ lib, ... }:
let
  inherit (lib) types;

  hostName = types.strMatching "([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";
  repository = types.strMatching "[A-Za-z0-9][A-Za-z0-9-]{0,38}/([A-Za-z0-9._-]{1,100}|\\*)";
  sshPublicKey = types.strMatching "(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/=]+( .*)?";
  octet = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";

  typeOf = {
    "boolean" = types.bool;
    "optional host name" = types.nullOr hostName;
    "list of repositories" = types.listOf repository;
    "list of SSH public keys" = types.listOf sshPublicKey;
    # IFNAMSIZ of the Linux kernel leaves 15 characters.
    "interface name" = types.strMatching "[A-Za-z0-9][A-Za-z0-9._-]{0,14}";
    "IPv4 range" = types.strMatching "(${octet}\\.){3}${octet}/([12]?[0-9]|3[0-2])";
  };

  isFlag = value: builtins.isString (value.type or null);

  optionsFrom =
    tree:
    builtins.mapAttrs (
      _: value:
      if isFlag value then
        lib.mkOption (
          {
            type = typeOf.${value.type};
            inherit (value) default;
            description = value.doc;
          }
          // lib.optionalAttrs (value ? example) { inherit (value) example; }
        )
      else
        optionsFrom value
    ) tree;
in
{
  options.berth = optionsFrom (import ./defaults.nix);
}
