-- Health of an opsloop.dev Release for Argo CD: argocd-cm, resource.customizations.health.opsloop.dev_Release.
-- Healthy: what is asked for is live and rolled out. Progressing: on its way. Suspended: a person is waited for.
-- Degraded: rejected, harmed or not guarded any more; the message says why.
local found = {status = "Progressing", message = "opsloop has not looked at it yet"}
local status = obj.status
if status == nil or (status.observedGeneration or 0) < (obj.metadata.generation or 0) then
  return found
end
local is = {}
for _, condition in ipairs(status.conditions or {}) do
  is[condition.type] = condition
end
local function at(kind, value, reasons)
  local condition = is[kind]
  if condition == nil or condition.status ~= value then
    return nil
  end
  if reasons == nil or reasons[condition.reason] then
    return condition
  end
  return nil
end
local function result(health, condition)
  return {status = health, message = condition.reason .. ": " .. (condition.message or "")}
end

local person = {WaitingForApproval = true, Paused = true, Stopped = true, WeightLower = true, AnalysisInconclusive = true}
local unguarded = at("Guarded", "False", {PausedByOthers = true, GuardContested = true})
if at("WorkloadMissing", "True") then
  return result("Missing", is.WorkloadMissing)
elseif at("SpecResolved", "False") then
  return result("Degraded", is.SpecResolved)
elseif unguarded then
  return result("Degraded", unguarded)
elseif status.phase == "Breaching" or status.phase == "RollingBack" then
  return {status = "Degraded", message = status.phase .. (status.incident and ": Incident " .. status.incident or "")}
elseif at("Stopped", "True") then
  return result("Suspended", is.Stopped)
elseif at("Held", "True", person) then
  return result("Suspended", is.Held)
elseif at("Guarded", "False", {AdoptionWaits = true}) then
  return result("Progressing", is.Guarded)
elseif at("Shipped", "True") then
  return result("Healthy", is.Shipped)
end
local target = status.target or {}
local ended = {Rejected = true, Refused = true, Cancelled = true}
if ended[target.state] then
  return {status = "Degraded", message = target.version .. " was " .. string.lower(target.state) .. ": " .. (target.message or "")}
elseif at("Held", "True") then
  return result("Progressing", is.Held)
elseif is.Shipped then
  return result("Progressing", is.Shipped)
end
return found
