{ config, lib, ... }:
let
  cfg = config.berth.binaryCache;
  mesh = config.berth.mesh.address;
  nameOf = key: lib.head (lib.splitString ":" key);
  names = map (cache: nameOf cache.publicKey) cfg.use;
in
{
  config.assertions = lib.mkIf config.berth.features.binaryCache [
    {
      assertion = cfg.serve.address != null || cfg.use != [ ];
      message = "berth.features.binaryCache is on, but this host neither serves (berth.binaryCache.serve.address) nor uses (berth.binaryCache.use) a cache.";
    }
    {
      assertion = cfg.serve.address != null -> cfg.serve.signKeyFile != null;
      message = "berth.binaryCache.serve.signKeyFile is not set: the other hosts would refuse what is not signed.";
    }
    {
      assertion = cfg.serve.address != null -> config.berth.features.mesh && cfg.serve.address == mesh;
      message = "berth.binaryCache.serve.address ${toString cfg.serve.address} is not this host's address in the mesh: the store, with everything that was ever built from a private repository, would be open to others. Use berth.mesh.address.";
    }
    {
      assertion = lib.allUnique names;
      message = "berth.binaryCache.use: two caches sign with a key of the same name, and Nix keeps one key per name. Make keys with a name for each host.";
    }
  ];
}
