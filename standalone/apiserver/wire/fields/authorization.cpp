// Field numbers, authorization and rbac. What a line means is told in wire/fields.cpp.
#include "standalone/apiserver/wire/fields.hpp"

namespace nodevirt::apiserver::wire {

constinit const std::string_view kAuthorizationFields = R"(#authz.FieldSelectorAttributes
1 rawSelector s
2 requirements +=meta.FieldSelectorRequirement
#authz.LabelSelectorAttributes
1 rawSelector s
2 requirements +=meta.LabelSelectorRequirement
#authz.LocalSubjectAccessReview
1 metadata =meta.ObjectMeta
2 spec =authz.SubjectAccessReviewSpec
3 status =authz.SubjectAccessReviewStatus
#authz.NonResourceAttributes
1 path s
2 verb s
#authz.NonResourceRule
1 verbs +s
2 nonResourceURLs +s
#authz.ResourceAttributes
1 namespace s
2 verb s
3 group s
4 version s
5 resource s
6 subresource s
7 name s
8 fieldSelector *=authz.FieldSelectorAttributes
9 labelSelector *=authz.LabelSelectorAttributes
#authz.ResourceRule
1 verbs +s
2 apiGroups +s
3 resources +s
4 resourceNames +s
#authz.SelfSubjectAccessReview
1 metadata =meta.ObjectMeta
2 spec =authz.SelfSubjectAccessReviewSpec
3 status =authz.SubjectAccessReviewStatus
#authz.SelfSubjectAccessReviewSpec
1 resourceAttributes *=authz.ResourceAttributes
2 nonResourceAttributes *=authz.NonResourceAttributes
#authz.SelfSubjectRulesReview
1 metadata =meta.ObjectMeta
2 spec =authz.SelfSubjectRulesReviewSpec
3 status =authz.SubjectRulesReviewStatus
#authz.SelfSubjectRulesReviewSpec
1 namespace s
#authz.SubjectAccessReview
1 metadata =meta.ObjectMeta
2 spec =authz.SubjectAccessReviewSpec
3 status =authz.SubjectAccessReviewStatus
#authz.SubjectAccessReviewSpec
1 resourceAttributes *=authz.ResourceAttributes
2 nonResourceAttributes *=authz.NonResourceAttributes
3 user s
4 groups +s
5 extra %@Items
6 uid s
#authz.SubjectAccessReviewStatus
1 allowed b
2 reason s
3 evaluationError s
4 denied b
#authz.SubjectRulesReviewStatus
1 resourceRules +=authz.ResourceRule
2 nonResourceRules +=authz.NonResourceRule
3 incomplete b
4 evaluationError s
#rbac.AggregationRule
1 clusterRoleSelectors +=meta.LabelSelector
#rbac.ClusterRole
1 metadata =meta.ObjectMeta
2 rules +=rbac.PolicyRule
3 aggregationRule *=rbac.AggregationRule
#rbac.ClusterRoleBinding
1 metadata =meta.ObjectMeta
2 subjects +=rbac.Subject
3 roleRef =rbac.RoleRef
#rbac.PolicyRule
1 verbs +s
2 apiGroups +s
3 resources +s
4 resourceNames +s
5 nonResourceURLs +s
#rbac.Role
1 metadata =meta.ObjectMeta
2 rules +=rbac.PolicyRule
#rbac.RoleBinding
1 metadata =meta.ObjectMeta
2 subjects +=rbac.Subject
3 roleRef =rbac.RoleRef
#rbac.RoleRef
1 apiGroup s
2 kind s
3 name s
#rbac.Subject
1 kind s
2 apiGroup s
3 name s
4 namespace s
)";

}  // namespace nodevirt::apiserver::wire
