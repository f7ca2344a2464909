# A host lent to one team whose code we do not know: previews only, smaller, and shorter-lived leftovers.
{ lib, ... }:
{
  berth.features = {
    agents = lib.mkDefault false;
    containersOci = lib.mkDefault false;
    hardening = lib.mkDefault true;
  };
}
